-- The same rows as the engine writes, said as plainly as SQLite allows: no gate, no returned count, one row a statement.

-- name: insert_status
INSERT INTO saga_status (
    saga_id, saga_name, saga_version, definition, saga_key, run, status, current_step, waiting_for, waiting_until,
    attempt, error_type, error_text, correlation_id, causation_id, started_at, updated_at, ended_at, deadline_at,
    due_at, version, position, owner
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: update_status
UPDATE saga_status SET
    status = ?, current_step = ?, waiting_for = ?, waiting_until = ?, attempt = ?, error_type = ?, error_text = ?,
    updated_at = ?, ended_at = ?, due_at = ?, version = ?, position = ?, owner = ?
WHERE saga_id = ?;

-- name: upsert_step
INSERT INTO saga_steps (
    saga_id, step, direction, ordinal, status, attempts, started_at, ended_at, error_type, error_text, undoes,
    result, position
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (saga_id, step, direction) DO UPDATE SET
    ordinal = excluded.ordinal, status = excluded.status, attempts = excluded.attempts,
    started_at = excluded.started_at, ended_at = excluded.ended_at, error_type = excluded.error_type,
    error_text = excluded.error_text, undoes = excluded.undoes, result = excluded.result,
    position = excluded.position;

-- name: insert_event
INSERT INTO saga_events (originator_id, originator_version, topic, state) VALUES (?, ?, ?, ?);

-- name: last_position
SELECT coalesce(max(rowid), 0) FROM saga_events;

-- name: left
-- What is still to be handled, what has ended, and what waits.
SELECT
    (SELECT count(*) FROM saga_inbox),
    (SELECT count(*) FROM saga_status WHERE ended_at IS NOT NULL),
    (SELECT count(*) FROM saga_status WHERE status = 'pending');
