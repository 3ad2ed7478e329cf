-- Tasks for people. `status` counts in the order of the view `tasks`: 0 is open. `recipients`, `excluded`, `choices` and
-- `moments` are JSON lists; `stage` counts the moments that have happened.
CREATE TABLE task(
    id BLOB PRIMARY KEY,
    run BLOB NOT NULL,
    workflow TEXT NOT NULL,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    recipients TEXT NOT NULL,
    excluded TEXT NOT NULL,
    form TEXT,
    choices TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    due INTEGER,
    moments TEXT NOT NULL,
    stage INTEGER NOT NULL,
    status INTEGER NOT NULL,
    answer TEXT,
    ended_at INTEGER
) WITHOUT ROWID;
CREATE INDEX task_by_time ON task(opened_at, id);
CREATE INDEX task_by_status ON task(status, opened_at, id);
CREATE INDEX task_by_run ON task(run);

-- For people with a shell; the engine does not use it.
CREATE VIEW tasks AS
SELECT
    lower(substr(hex(id), 1, 8) || '-' || substr(hex(id), 9, 4) || '-' || substr(hex(id), 13, 4) || '-'
        || substr(hex(id), 17, 4) || '-' || substr(hex(id), 21)) AS task,
    lower(substr(hex(run), 1, 8) || '-' || substr(hex(run), 9, 4) || '-' || substr(hex(run), 13, 4) || '-'
        || substr(hex(run), 17, 4) || '-' || substr(hex(run), 21)) AS run,
    workflow,
    title,
    recipients,
    CASE status WHEN 0 THEN 'open' WHEN 1 THEN 'answered' WHEN 2 THEN 'expired' ELSE 'cancelled' END AS status,
    strftime('%Y-%m-%dT%H:%M:%S', opened_at / 1000, 'unixepoch') || printf('.%03dZ', opened_at % 1000) AS opened_at,
    strftime('%Y-%m-%dT%H:%M:%S', due / 1000, 'unixepoch') || printf('.%03dZ', due % 1000) AS due,
    answer
FROM task;
