-- What came of a run that ended before its row was written stands beside its input: one row less for most.
ALTER TABLE run_data ADD COLUMN output TEXT;
ALTER TABLE run_data ADD COLUMN error TEXT;

DROP VIEW runs;
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
    ifnull(d.output, o.output) AS output,
    ifnull(d.error, o.error) AS error,
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
