-- The same rows as the engine writes, said as plainly as PostgreSQL allows, in two ways: row by row for executemany, and
-- from arrays, a statement for many rows. No lock, no gate, no notification.

-- name: insert_status
INSERT INTO saga_status (
    saga_id, saga_name, saga_version, definition, saga_key, run, status, current_step, waiting_for, waiting_until,
    attempt, error_type, error_text, correlation_id, causation_id, started_at, updated_at, ended_at, deadline_at,
    due_at, version, position, owner
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s);

-- name: update_status
UPDATE saga_status SET
    status = %s, current_step = %s, waiting_for = %s, waiting_until = %s, attempt = %s, error_type = %s,
    error_text = %s, updated_at = %s, ended_at = %s, due_at = %s, version = %s, position = %s, owner = %s
WHERE saga_id = %s;

-- name: upsert_step
INSERT INTO saga_steps (
    saga_id, step, direction, ordinal, status, attempts, started_at, ended_at, error_type, error_text, undoes,
    result, position
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (saga_id, step, direction) DO UPDATE SET
    ordinal = excluded.ordinal, status = excluded.status, attempts = excluded.attempts,
    started_at = excluded.started_at, ended_at = excluded.ended_at, error_type = excluded.error_type,
    error_text = excluded.error_text, undoes = excluded.undoes, result = excluded.result,
    position = excluded.position;

-- name: insert_event
INSERT INTO saga_events (originator_id, originator_version, topic, state) VALUES (%s, %s, %s, %s);

-- name: insert_statuses
INSERT INTO saga_status (
    saga_id, saga_name, saga_version, definition, saga_key, run, status, current_step, waiting_for, waiting_until,
    attempt, error_type, error_text, correlation_id, causation_id, started_at, updated_at, ended_at, deadline_at,
    due_at, version, position, owner
)
SELECT * FROM unnest(
    %b::text[], %b::text[], %b::bigint[], %b::text[], %b::text[], %b::bigint[], %b::text[], %b::text[], %b::text[],
    %b::bigint[], %b::bigint[], %b::text[], %b::text[], %b::text[], %b::text[], %b::bigint[], %b::bigint[],
    %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[], %b::text[]
);

-- name: update_statuses
UPDATE saga_status SET
    status = new.status, current_step = new.current_step, waiting_for = new.waiting_for,
    waiting_until = new.waiting_until, attempt = new.attempt, error_type = new.error_type,
    error_text = new.error_text, updated_at = new.updated_at, ended_at = new.ended_at, due_at = new.due_at,
    version = new.version, position = new.position, owner = new.owner
FROM unnest(
    %b::text[], %b::text[], %b::text[], %b::bigint[], %b::bigint[], %b::text[], %b::text[], %b::bigint[],
    %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[], %b::text[], %b::text[]
) AS new (
    status, current_step, waiting_for, waiting_until, attempt, error_type, error_text, updated_at, ended_at, due_at,
    version, position, owner, saga_id
)
WHERE saga_status.saga_id = new.saga_id;

-- name: upsert_steps
INSERT INTO saga_steps (
    saga_id, step, direction, ordinal, status, attempts, started_at, ended_at, error_type, error_text, undoes,
    result, position
)
SELECT * FROM unnest(
    %b::text[], %b::text[], %b::text[], %b::bigint[], %b::text[], %b::bigint[], %b::bigint[], %b::bigint[],
    %b::text[], %b::text[], %b::text[], %b::json[], %b::bigint[]
)
ON CONFLICT (saga_id, step, direction) DO UPDATE SET
    ordinal = excluded.ordinal, status = excluded.status, attempts = excluded.attempts,
    started_at = excluded.started_at, ended_at = excluded.ended_at, error_type = excluded.error_type,
    error_text = excluded.error_text, undoes = excluded.undoes, result = excluded.result,
    position = excluded.position;

-- name: insert_events
INSERT INTO saga_events (originator_id, originator_version, topic, state)
SELECT * FROM unnest(%b::text[], %b::bigint[], %b::text[], %b::bytea[]);

-- name: copy_status
COPY saga_status (
    saga_id, saga_name, saga_version, definition, saga_key, run, status, current_step, waiting_for, waiting_until,
    attempt, error_type, error_text, correlation_id, causation_id, started_at, updated_at, ended_at, deadline_at,
    due_at, version, position, owner
) FROM STDIN;

-- name: copy_steps
COPY saga_steps (
    saga_id, step, direction, ordinal, status, attempts, started_at, ended_at, error_type, error_text, undoes,
    result, position
) FROM STDIN;

-- name: copy_events
COPY saga_events (originator_id, originator_version, topic, state) FROM STDIN;

-- name: last_position
SELECT coalesce(max(notification_id), 0) FROM saga_events;

-- name: size
SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
WHERE relkind = 'r' AND relname IN ('saga_events', 'saga_status', 'saga_steps');

-- name: settings
SELECT name, setting FROM pg_settings
WHERE name IN ('server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers') ORDER BY name;

-- name: left
-- What is still to be handled, what has ended, and what waits.
SELECT
    (SELECT count(*) FROM saga_inbox),
    (SELECT count(*) FROM saga_status WHERE ended_at IS NOT NULL),
    (SELECT count(*) FROM saga_status WHERE status = 'pending');
