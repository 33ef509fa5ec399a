-- What a person did to a saga, by its verb, on SQLite: one row an action, also where more than one event tells of it.
-- Columns are a contract, documented in docs/reference/sql.md and the same on PostgreSQL. Times are microseconds since the epoch.

DROP VIEW saga_actions;

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
    CAST(e.state AS TEXT) ->> '$.reason' AS reason,
    CASE e.topic WHEN 'sagalog.SagaResumed.1' THEN 'resume' ELSE CAST(e.state AS TEXT) ->> '$.verb' END AS verb,
    CAST(e.state AS TEXT) ->> '$.why' AS refused,
    CAST(e.state AS TEXT) ->> '$.action_id' AS action_id
FROM saga_events AS e
JOIN saga_status AS s ON s.saga_id = e.originator_id
-- The first condition only spares most events from being read as JSON.
WHERE instr(e.state, '"actor":') > 0 AND CAST(e.state AS TEXT) ->> '$.actor' IS NOT NULL
    -- These two name who did what they follow from.
    AND e.topic <> 'sagalog.SagaAbandoned.1'
    AND (
        e.topic <> 'sagalog.SagaResumed.1'
        OR NOT EXISTS (
            SELECT 1 FROM saga_events AS t
            WHERE t.originator_id = e.originator_id AND t.originator_version < e.originator_version
                AND t.topic = 'sagalog.ActionTaken.1'
                AND CAST(t.state AS TEXT) ->> '$.action_id' = CAST(e.state AS TEXT) ->> '$.action_id'
        )
    )
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
    u.settled_reason,
    CASE u.status WHEN 'discarded' THEN 'discard' ELSE 'redeliver' END,
    NULL,
    NULL
FROM saga_unmatched AS u
WHERE u.actor IS NOT NULL;

UPDATE saga_contract SET version = 2 WHERE name = 'saga_actions';
