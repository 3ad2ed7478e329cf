CREATE TABLE workflow(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

-- `body` is null while only runs name the version.
CREATE TABLE bundle(id INTEGER PRIMARY KEY, version TEXT NOT NULL UNIQUE, body BLOB);

-- Times are milliseconds since 1970 in UTC. `status` counts in the order of the view `runs`: below 2 it is not parked,
-- below 3 it is live, 4 to 7 are final.
CREATE TABLE run(
    id BLOB PRIMARY KEY,
    workflow INTEGER NOT NULL,
    version INTEGER NOT NULL,
    status INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    ready INTEGER NOT NULL,
    subscribed INTEGER NOT NULL,
    last INTEGER NOT NULL,
    owner TEXT,
    wake_at INTEGER,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    parent BLOB,
    priority INTEGER NOT NULL,
    charged INTEGER NOT NULL,
    rollback INTEGER NOT NULL,
    waiting_for TEXT NOT NULL,
    cancel TEXT
) WITHOUT ROWID;
CREATE INDEX run_by_status ON run(workflow, status, id);
CREATE INDEX run_ready ON run(id) WHERE ready OR status < 2 OR cancel IS NOT NULL;
CREATE INDEX run_due ON run(wake_at, id) WHERE wake_at IS NOT NULL;
CREATE INDEX run_ended ON run(ended_at, id) WHERE ended_at IS NOT NULL;
CREATE INDEX run_children ON run(parent, id) WHERE parent IS NOT NULL;

CREATE TABLE run_data(
    id BLOB PRIMARY KEY,
    input TEXT NOT NULL,
    settings TEXT NOT NULL,
    "trigger" TEXT NOT NULL,
    key TEXT
) WITHOUT ROWID;

CREATE TABLE outcome(id BLOB PRIMARY KEY, output TEXT, error TEXT) WITHOUT ROWID;

-- How many runs there are; kept by every write, so that nobody counts a million rows.
CREATE TABLE tally(
    workflow INTEGER NOT NULL,
    version INTEGER NOT NULL,
    status INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY(workflow, version, status)
) WITHOUT ROWID;

-- `prev` is the segment before it of the same run, or 0. The newest one of a run is in `run.last`, or is one of those after
-- `tail.noted`. Numbers grow for ever.
CREATE TABLE segment(id INTEGER PRIMARY KEY, run BLOB NOT NULL, prev INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE tail(noted INTEGER NOT NULL);
INSERT INTO tail VALUES(0);

-- `keyed` is 0, and `key` empty, where any key will do.
CREATE TABLE subscription(
    name TEXT NOT NULL,
    keyed INTEGER NOT NULL,
    key TEXT NOT NULL,
    run BLOB NOT NULL,
    PRIMARY KEY(name, keyed, key, run)
) WITHOUT ROWID;
CREATE INDEX subscription_by_run ON subscription(run);

-- `latest` is the largest `at` up to this event: unlike `at` it never falls, so a search can bisect by it.
-- The numbers are never used again.
CREATE TABLE event(
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    key TEXT,
    payload TEXT NOT NULL,
    run BLOB,
    at INTEGER NOT NULL,
    latest INTEGER NOT NULL
);
CREATE INDEX event_by_name ON event(name);
CREATE INDEX event_by_key ON event(name, key) WHERE key IS NOT NULL;

CREATE TABLE event_id(id TEXT PRIMARY KEY, seq INTEGER NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX event_id_until ON event_id(until, id);

CREATE TABLE dedupe(
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    run BLOB NOT NULL,
    input INTEGER NOT NULL,
    until INTEGER,
    PRIMARY KEY(scope, key)
) WITHOUT ROWID;
CREATE INDEX dedupe_by_run ON dedupe(run) WHERE until IS NULL;
CREATE INDEX dedupe_until ON dedupe(until, scope, key) WHERE until IS NOT NULL;

CREATE TABLE state(scope TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY(scope, key)) WITHOUT ROWID;

-- For people with a shell; the engine does not use them.
CREATE VIEW runs AS
SELECT
    lower(substr(hex(r.id), 1, 8) || '-' || substr(hex(r.id), 9, 4) || '-' || substr(hex(r.id), 13, 4) || '-'
        || substr(hex(r.id), 17, 4) || '-' || substr(hex(r.id), 21)) AS run,
    w.name AS workflow,
    b.version AS version,
    CASE r.status
        WHEN 0 THEN 'queued' WHEN 1 THEN 'running' WHEN 2 THEN 'waiting' WHEN 3 THEN 'paused' WHEN 4 THEN 'completed'
        WHEN 5 THEN 'failed' WHEN 6 THEN 'cancelled' WHEN 7 THEN 'timed_out' WHEN 8 THEN 'quarantined'
        ELSE 'diverged' END AS status,
    d.input AS input,
    o.output AS output,
    o.error AS error,
    d."trigger" AS "trigger",
    d.key AS key,
    lower(substr(hex(r.parent), 1, 8) || '-' || substr(hex(r.parent), 9, 4) || '-' || substr(hex(r.parent), 13, 4)
        || '-' || substr(hex(r.parent), 17, 4) || '-' || substr(hex(r.parent), 21)) AS parent,
    strftime('%Y-%m-%dT%H:%M:%S', r.created_at / 1000, 'unixepoch') || printf('.%03dZ', r.created_at % 1000)
        AS created_at,
    strftime('%Y-%m-%dT%H:%M:%S', r.started_at / 1000, 'unixepoch') || printf('.%03dZ', r.started_at % 1000)
        AS started_at,
    strftime('%Y-%m-%dT%H:%M:%S', r.ended_at / 1000, 'unixepoch') || printf('.%03dZ', r.ended_at % 1000) AS ended_at,
    strftime('%Y-%m-%dT%H:%M:%S', r.wake_at / 1000, 'unixepoch') || printf('.%03dZ', r.wake_at % 1000) AS wake_at,
    r.waiting_for AS waiting_for,
    r.epoch AS attempts
FROM run r
JOIN workflow w ON w.id = r.workflow
JOIN bundle b ON b.id = r.version
JOIN run_data d ON d.id = r.id
LEFT JOIN outcome o ON o.id = r.id;

CREATE VIEW events AS
SELECT
    seq,
    id AS event,
    name,
    key,
    payload,
    lower(substr(hex(run), 1, 8) || '-' || substr(hex(run), 9, 4) || '-' || substr(hex(run), 13, 4) || '-'
        || substr(hex(run), 17, 4) || '-' || substr(hex(run), 21)) AS run,
    strftime('%Y-%m-%dT%H:%M:%S', at / 1000, 'unixepoch') || printf('.%03dZ', at % 1000) AS received_at
FROM event;
