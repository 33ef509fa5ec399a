-- All that the log tells, as the tables say it: without owners and deliveries, which it does not tell.

-- name: position
SELECT coalesce(max(position), 0) FROM saga_history

-- name: statuses
SELECT
    saga_id, saga_name, saga_version, definition, saga_key, run, status, current_step, waiting_for, waiting_until,
    attempt, error_type, error_text, correlation_id, causation_id, started_at, updated_at, ended_at, deadline_at, due_at,
    version, position
FROM saga_status

-- name: steps
SELECT
    saga_id, step, direction, ordinal, status, attempts, started_at, ended_at, error_type, error_text, undoes,
    CAST(result AS TEXT), position
FROM saga_steps

-- name: commands
SELECT
    command_id, name, saga_id, step, direction, status, sendings, correlation_id, causation_id, issued_at, answered_at,
    position
FROM saga_commands

-- name: attributes
SELECT saga_id, name, value, CAST(number AS TEXT), position FROM saga_attributes

-- name: messages
SELECT position, message_id, kind, name, source, correlation_id, causation_id, time, saga_id, step FROM saga_messages

-- name: attempts
SELECT position, saga_id, step, direction, attempt, outcome, started_at, ended_at, error_type, retry_at FROM saga_attempts
