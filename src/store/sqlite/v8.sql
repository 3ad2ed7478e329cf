-- Only `prune` by age used it, which goes along the runs themselves now: one tree less to write at the end of every run.
DROP INDEX run_ended;

-- Where `packed` is 1, `body` holds several segments of the run that follow each other: the row has the number of the last of
-- them, and `prev` is the one before the first.
ALTER TABLE segment ADD COLUMN packed INTEGER;

-- Up to this segment, those of finished runs were put together.
CREATE TABLE compacted(reached INTEGER NOT NULL);
INSERT INTO compacted VALUES(0);
