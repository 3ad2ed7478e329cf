-- What was done from outside, one row an act, and never removed. `hash` is the SHA-256 of the hash before (zeros for the first)
-- and of the JSON list [seq, at, actor, act, subject, details] without spaces, `details` as text in it.
CREATE TABLE audit(
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    act TEXT NOT NULL,
    subject TEXT NOT NULL,
    details TEXT NOT NULL,
    hash BLOB NOT NULL
);

-- For people with a shell; the engine does not use it.
CREATE VIEW acts AS
SELECT
    seq,
    strftime('%Y-%m-%dT%H:%M:%S', at / 1000, 'unixepoch') || printf('.%03dZ', at % 1000) AS at,
    actor,
    act,
    subject,
    details,
    lower(hex(hash)) AS hash
FROM audit;
