-- What auditors ask on SQLite: who did what to a saga, and each attempt of each step; and the version of each table and view.
-- Columns are a contract, documented in docs/reference/sql.md and the same on PostgreSQL. Times are microseconds since the epoch.

-- One row for each table and view of the contract. A migration that changes the columns of one raises its version here.
CREATE TABLE saga_contract (
    name TEXT NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO saga_contract VALUES
    ('saga_actions', 1),
    ('saga_attempts', 1),
    ('saga_commands', 1),
    ('saga_consumers', 1),
    ('saga_contract', 1),
    ('saga_events', 1),
    ('saga_history', 1),
    ('saga_inbox', 1),
    ('saga_messages', 1),
    ('saga_schema', 1),
    ('saga_status', 1),
    ('saga_steps', 1),
    ('saga_tracking', 1),
    ('saga_unmatched', 1),
    ('saga_workers', 1);

-- Who did what, to which saga or message, and why. An action is any event that names an actor: those to come are here too.
CREATE VIEW saga_actions AS
SELECT
    e.rowid AS position,
    CAST(CAST(e.state AS TEXT) ->> '$.time' AS INTEGER) AS time,
    s.saga_id AS saga_id,
    s.saga_name AS saga_name,
    s.saga_key AS saga_key,
    substr(e.topic, 9, length(e.topic) - 10) AS action,
    CAST(e.state AS TEXT) ->> '$.step' AS step,
    NULL AS message_id,
    NULL AS consumer,
    CAST(e.state AS TEXT) ->> '$.actor' AS actor,
    CAST(e.state AS TEXT) ->> '$.reason' AS reason
FROM saga_events AS e
JOIN saga_status AS s ON s.saga_id = e.originator_id
-- The first condition only spares most events from being read as JSON.
WHERE instr(e.state, '"actor":') > 0 AND CAST(e.state AS TEXT) ->> '$.actor' IS NOT NULL
UNION ALL
-- The row of a message holds only the last decision about it, and that is no event of the log.
SELECT
    NULL,
    u.settled_at,
    NULL,
    NULL,
    NULL,
    CASE u.status WHEN 'discarded' THEN 'MessageDiscarded' ELSE 'MessageRedelivered' END,
    NULL,
    u.message_id,
    u.consumer,
    u.actor,
    u.settled_reason
FROM saga_unmatched AS u
WHERE u.actor IS NOT NULL;

-- Each attempt of each step, in either direction: those that have ended, from the log, and those that wait for somebody.
-- A local attempt under way is not recorded before it ends, so it has no row.
CREATE VIEW saga_attempts AS
SELECT
    e.rowid AS position,
    s.saga_id AS saga_id,
    s.saga_name AS saga_name,
    s.saga_key AS saga_key,
    CAST(e.state AS TEXT) ->> '$.step' AS step,
    CASE WHEN substr(e.topic, 9, length(e.topic) - 10) IN ('StepSucceeded', 'StepFailed') THEN 'action'
        ELSE 'compensation' END AS direction,
    CAST(COALESCE(CAST(e.state AS TEXT) ->> '$.attempt', 1) AS INTEGER) AS attempt,
    CASE substr(e.topic, 9, length(e.topic) - 10)
        WHEN 'StepSucceeded' THEN CASE WHEN CAST(e.state AS TEXT) ->> '$.late' THEN 'late' ELSE 'succeeded' END
        WHEN 'StepFailed' THEN CAST(e.state AS TEXT) ->> '$.outcome'
        WHEN 'StepCompensated' THEN 'compensated'
        ELSE CASE WHEN CAST(e.state AS TEXT) ->> '$.error.kind' = 'refused' THEN 'refused' ELSE 'unknown' END
    END AS outcome,
    CAST(CAST(e.state AS TEXT) ->> '$.began' AS INTEGER) AS started_at,
    CAST(CAST(e.state AS TEXT) ->> '$.time' AS INTEGER) AS ended_at,
    CASE WHEN CAST(e.state AS TEXT) -> '$.error' IS NOT NULL
        THEN COALESCE(CAST(e.state AS TEXT) ->> '$.error.kind', 'error') END AS error_kind,
    CAST(e.state AS TEXT) ->> '$.error.type' AS error_type,
    CAST(e.state AS TEXT) ->> '$.error.message' AS error_text,
    CAST(CAST(e.state AS TEXT) ->> '$.retry_at' AS INTEGER) AS retry_at,
    CAST(e.state AS TEXT) ->> '$.message' AS message_id
FROM saga_events AS e
JOIN saga_status AS s ON s.saga_id = e.originator_id
WHERE substr(e.topic, 9, length(e.topic) - 10)
    IN ('StepSucceeded', 'StepFailed', 'StepCompensated', 'CompensationFailed')
UNION ALL
SELECT
    w.position,
    s.saga_id,
    s.saga_name,
    s.saga_key,
    w.step,
    'action',
    w.attempts,
    'waiting',
    w.started_at,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL
FROM saga_steps AS w
JOIN saga_status AS s ON s.saga_id = w.saga_id
WHERE w.status = 'waiting'
UNION ALL
-- A command that is to undo a step and has no answer yet: the attempt is the last one in which it was sent.
SELECT
    (SELECT max(m.position) FROM saga_messages AS m WHERE m.message_id = c.command_id),
    s.saga_id,
    s.saga_name,
    s.saga_key,
    c.step,
    'compensation',
    COALESCE(
        (SELECT u.attempts FROM saga_steps AS u
            WHERE u.saga_id = c.saga_id AND u.step = c.step AND u.direction = 'compensation'),
        0
    ) + 1,
    'waiting',
    (SELECT max(m.time) FROM saga_messages AS m WHERE m.message_id = c.command_id),
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL
FROM saga_commands AS c
JOIN saga_status AS s ON s.saga_id = c.saga_id
WHERE c.direction = 'compensation' AND c.status = 'sent';
