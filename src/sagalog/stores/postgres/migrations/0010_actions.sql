-- What a person did to a saga, by its verb, on PostgreSQL: one row an action, also where more than one event tells of it.
-- Columns are a contract, documented in docs/reference/sql.md and the same on SQLite. Times are microseconds since the epoch.

-- Who did what, to which saga or message, and why. An action is any event that names an actor: those to come are here too.
-- Replaced, not dropped, so that whoever may read it still may.
CREATE OR REPLACE VIEW saga_actions AS
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
    d.reason AS reason,
    CASE e.topic WHEN 'sagalog.SagaResumed.1' THEN 'resume' ELSE d.verb END AS verb,
    d.why AS refused,
    d.action_id AS action_id
FROM saga_events AS e
JOIN saga_status AS s ON s.saga_id = e.originator_id
CROSS JOIN LATERAL json_to_record(convert_from(e.state, 'UTF8')::json)
    AS d (time bigint, step text, actor text, reason text, verb text, why text, action_id text)
-- The first condition only spares most events from being read as JSON.
WHERE position('"actor":'::bytea IN e.state) > 0 AND d.actor IS NOT NULL
    -- These two name who did what they follow from.
    AND e.topic <> 'sagalog.SagaAbandoned.1'
    AND (
        e.topic <> 'sagalog.SagaResumed.1'
        OR NOT EXISTS (
            SELECT FROM saga_events AS t
            WHERE t.originator_id = e.originator_id AND t.originator_version < e.originator_version
                AND t.topic = 'sagalog.ActionTaken.1'
                AND convert_from(t.state, 'UTF8')::json ->> 'action_id' = d.action_id
        )
    )
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
    u.settled_reason,
    CASE u.status WHEN 'discarded' THEN 'discard' ELSE 'redeliver' END,
    NULL::text,
    NULL::text
FROM saga_unmatched AS u
WHERE u.actor IS NOT NULL;

UPDATE saga_contract SET version = 2 WHERE name = 'saga_actions';
