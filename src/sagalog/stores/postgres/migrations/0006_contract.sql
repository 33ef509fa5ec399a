-- What auditors ask on PostgreSQL: who did what to a saga, each attempt of each step; and the version of each table and view.
-- Columns are a contract, documented in docs/reference/sql.md and the same on SQLite. Times are microseconds since the epoch.

-- One row for each table and view of the contract. A migration that changes the columns of one raises its version here.
CREATE TABLE saga_contract (
    name text COLLATE "C" NOT NULL PRIMARY KEY,
    version bigint NOT NULL
);

INSERT INTO saga_contract VALUES
    ('saga_actions', 1),
    ('saga_attempts', 1),
    ('saga_attributes', 1),
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
    e.notification_id AS position,
    d.time AS time,
    s.saga_id AS saga_id,
    s.saga_name AS saga_name,
    s.saga_key AS saga_key,
    substr(e.topic, 9, length(e.topic) - 10) AS action,
    d.step COLLATE "C" AS step,
    NULL::text COLLATE "C" AS message_id,
    NULL::text COLLATE "C" AS consumer,
    d.actor AS actor,
    d.reason AS reason
FROM saga_events AS e
JOIN saga_status AS s ON s.saga_id = e.originator_id
CROSS JOIN LATERAL json_to_record(convert_from(e.state, 'UTF8')::json)
    AS d (time bigint, step text, actor text, reason text)
-- The first condition only spares most events from being read as JSON.
WHERE position('"actor":'::bytea IN e.state) > 0 AND d.actor IS NOT NULL
UNION ALL
-- The row of a message holds only the last decision about it, and that is no event of the log.
SELECT
    NULL::bigint,
    u.settled_at,
    NULL::text COLLATE "C",
    NULL::text,
    NULL::text COLLATE "C",
    CASE u.status WHEN 'discarded' THEN 'MessageDiscarded' ELSE 'MessageRedelivered' END,
    NULL::text COLLATE "C",
    u.message_id,
    u.consumer,
    u.actor,
    u.settled_reason
FROM saga_unmatched AS u
WHERE u.actor IS NOT NULL;

-- Each attempt of each step, in either direction: those that have ended, and those that wait for somebody. A local attempt
-- is not recorded before it ends, so it has no row while it is under way. One SELECT without UNION, so that a join with
-- this view reads of the log only the sagas that it joins.
CREATE VIEW saga_attempts AS
SELECT
    h.position AS position,
    s.saga_id AS saga_id,
    s.saga_name AS saga_name,
    s.saga_key AS saga_key,
    d.step COLLATE "C" AS step,
    CASE h.type
        WHEN 'StepCompensated' THEN 'compensation'
        WHEN 'CompensationFailed' THEN 'compensation'
        WHEN 'RequestSent' THEN COALESCE(d.direction, 'action')
        ELSE 'action'
    END AS direction,
    CASE h.type
        WHEN 'StepWaiting' THEN (
            SELECT w.attempts FROM saga_steps AS w
            WHERE w.saga_id = h.saga_id AND w.step = d.step AND w.direction = 'action'
        )
        ELSE COALESCE(d.attempt, 1)
    END AS attempt,
    CASE h.type
        WHEN 'StepSucceeded' THEN CASE WHEN d.late THEN 'late' ELSE 'succeeded' END
        WHEN 'StepFailed' THEN d.outcome
        WHEN 'StepCompensated' THEN 'compensated'
        WHEN 'CompensationFailed' THEN CASE WHEN d.error ->> 'kind' = 'refused' THEN 'refused' ELSE 'unknown' END
        ELSE 'waiting'
    END AS outcome,
    CASE WHEN h.type IN ('RequestSent', 'StepWaiting', 'ChildStarted') THEN h.time ELSE d.began END AS started_at,
    CASE WHEN h.type NOT IN ('RequestSent', 'StepWaiting', 'ChildStarted') THEN h.time END AS ended_at,
    CASE WHEN d.error ->> 'type' IS NOT NULL THEN COALESCE(d.error ->> 'kind', 'error') END AS error_kind,
    d.error ->> 'type' AS error_type,
    d.error ->> 'message' AS error_text,
    d.retry_at AS retry_at,
    CASE WHEN h.type <> 'ChildStarted' THEN d.message END COLLATE "C" AS message_id
FROM saga_history AS h
JOIN saga_status AS s ON s.saga_id = h.saga_id
CROSS JOIN LATERAL json_to_record(h.data) AS d (
    step text,
    direction text,
    attempt bigint,
    late boolean,
    outcome text,
    began bigint,
    error json,
    retry_at bigint,
    message text,
    command_id text
)
WHERE h.type IN ('StepSucceeded', 'StepFailed', 'StepCompensated', 'CompensationFailed')
    -- What an action waits for since this event: the row of the step says whether it still does.
    OR h.type IN ('RequestSent', 'StepWaiting', 'ChildStarted')
    AND COALESCE(d.direction, 'action') = 'action'
    AND EXISTS (
        SELECT 1 FROM saga_steps AS w
        WHERE w.saga_id = h.saga_id AND w.step = d.step AND w.direction = 'action'
            AND w.status = 'waiting' AND w.started_at = h.time
    )
    -- A command that is to undo a step, has no answer yet, and was not sent again later.
    OR h.type = 'RequestSent'
    AND d.direction = 'compensation'
    AND EXISTS (SELECT 1 FROM saga_commands AS c WHERE c.command_id = d.command_id AND c.status = 'sent')
    AND NOT EXISTS (
        SELECT 1 FROM saga_messages AS m WHERE m.message_id = d.command_id AND m.position > h.position
    );
