-- Tickets for what only so many may hold at a time. `state`: 0 it comes into the line when its run begins, 1 it waits,
-- 2 it holds a slot. `place` counts arrivals; `most` is the ticket's own limit.
CREATE TABLE slot(
    run BLOB NOT NULL,
    ticket TEXT NOT NULL,
    name TEXT NOT NULL,
    state INTEGER NOT NULL,
    most INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    place INTEGER NOT NULL,
    PRIMARY KEY(run, ticket)
) WITHOUT ROWID;
CREATE INDEX slot_line ON slot(name, state, priority DESC, place);
CREATE UNIQUE INDEX slot_place ON slot(place);

-- A queued run that is not ready waits for its time, or for a slot.
DROP INDEX run_ready;
CREATE INDEX run_ready ON run(priority DESC, id) WHERE ready OR status = 1 OR cancel IS NOT NULL;
