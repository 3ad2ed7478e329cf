-- Journals of runs that are gone, by their last segment: what is still to be removed of them.
CREATE TABLE leftover(last INTEGER PRIMARY KEY);
