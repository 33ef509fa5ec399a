-- Copies of the sagas that were run, made by PostgreSQL: the blocks are run in their order. Whatever names a saga, or its
-- key names those of the copy. Copies are numbered by age.

-- name: sagas
-- Which saga is a copy of which; the beginning of an id tells when the saga began.
CREATE TEMP TABLE crowd AS
SELECT
    n, pattern.saga_id AS old_id, pattern.saga_key AS old_key,
    substr(newest, 1, 14) || '7fff-bfff-' || lpad(to_hex(n), 12, '0') AS new_id,
    'order-' || n AS new_key
FROM (SELECT max(saga_id) AS newest FROM saga_status) AS last
CROSS JOIN generate_series(1, %(number)s) AS saga (n)
CROSS JOIN saga_status AS pattern
WHERE pattern.saga_key = CASE
    WHEN mod(n, 1100) = 0 THEN 'pattern-stuck'
    WHEN mod(n, 11) = 0 THEN 'pattern-waits'
    WHEN mod(n, 20) = 0 THEN 'pattern-fails'
    ELSE 'pattern-well'
END
ORDER BY n;

-- name: known
ANALYZE;

-- name: known_too
ANALYZE crowd;

-- name: events
INSERT INTO saga_events (originator_id, originator_version, topic, state)
SELECT new_id, originator_version, topic, convert_to(
    replace(replace(convert_from(state, 'UTF8'), old_id, new_id), old_key, new_key), 'UTF8'
)
FROM crowd JOIN saga_events ON originator_id = old_id
ORDER BY n, originator_version;

-- name: known_events
ANALYZE saga_events;

-- name: statuses
INSERT INTO saga_status
SELECT
    new_id, saga_name, saga_version, definition, new_key, run, status, current_step, waiting_for, waiting_until, attempt,
    error_type, replace(error_text, old_key, new_key), replace(correlation_id, old_id, new_id), causation_id, started_at, updated_at, ended_at,
    deadline_at, due_at, version, (
        SELECT notification_id FROM saga_events WHERE originator_id = new_id ORDER BY originator_version DESC LIMIT 1
    ), owner
FROM crowd JOIN saga_status ON saga_id = old_id
ORDER BY n;

-- name: known_statuses
ANALYZE saga_status;

-- name: steps
INSERT INTO saga_steps
SELECT
    new_id, step, direction, ordinal, steps.status, attempts, steps.started_at, steps.ended_at, steps.error_type,
    replace(steps.error_text, old_key, new_key), undoes, replace(replace(result::text, old_id, new_id), old_key, new_key)::json, saga.position
FROM crowd JOIN saga_steps AS steps ON steps.saga_id = old_id JOIN saga_status AS saga ON saga.saga_id = new_id
ORDER BY n;

-- name: attributes
INSERT INTO saga_attributes
SELECT new_id, name, replace(value, old_key, new_key), number, saga.position
FROM crowd JOIN saga_attributes AS held ON held.saga_id = old_id JOIN saga_status AS saga ON saga.saga_id = new_id
ORDER BY n;

-- name: commands
INSERT INTO saga_commands
SELECT
    replace(command_id, old_id, new_id), name, new_id, step, direction, command.status, sendings, deliveries,
    replace(command.correlation_id, old_id, new_id), replace(command.causation_id, old_id, new_id), issued_at, answered_at,
    saga.position
FROM crowd JOIN saga_commands AS command ON command.saga_id = old_id
JOIN saga_status AS saga ON saga.saga_id = new_id
ORDER BY n;

-- name: messages
INSERT INTO saga_messages
SELECT
    command.position, command_id, kind, message.name, source, command.correlation_id, command.causation_id, time, new_id,
    message.step
FROM crowd JOIN saga_messages AS message ON message.saga_id = old_id
JOIN saga_commands AS command ON command.saga_id = new_id
ORDER BY n;

-- name: unmatched
-- For each open saga a message that nobody could take, of which one in ten was given up.
INSERT INTO saga_unmatched
SELECT
    new_id, 'saga:order-return', new_id, 'event', 'ParcelArrived', 'carrier', 'no saga waits for it', new_id, NULL, NULL,
    json_build_object('id', new_id, 'kind', 'event', 'name', 'ParcelArrived', 'data', json_build_object('return_id', new_key))::text,
    pattern.started_at,
    CASE WHEN mod(n, 110) = 0 THEN 'discarded' ELSE 'parked' END,
    CASE WHEN mod(n, 110) = 0 THEN 'ada' END,
    CASE WHEN mod(n, 110) = 0 THEN 'ticket 4711' END,
    CASE WHEN mod(n, 110) = 0 THEN pattern.started_at END
FROM crowd JOIN saga_status AS pattern ON pattern.saga_id = old_id
WHERE mod(n, 11) = 0
ORDER BY n;

-- name: jobs
-- One for each saga that is stuck; the newest was for all that are open.
INSERT INTO saga_jobs
SELECT
    new_id, 'retry', '{}', 'status=stuck', 'ada', 'ticket 4711', 'done', NULL, 10, NULL, 10, 1, pattern.started_at,
    pattern.started_at, NULL
FROM crowd JOIN saga_status AS pattern ON pattern.saga_id = old_id
WHERE mod(n, 1100) = 0;

-- name: items
INSERT INTO saga_job_items
SELECT (SELECT max(job_id) FROM saga_jobs), n / 11, new_id, CASE WHEN mod(n, 110) = 0 THEN 'failed' ELSE 'well' END, NULL, 1
FROM crowd
WHERE mod(n, 11) = 0;

-- name: items_of_the_others
INSERT INTO saga_job_items
SELECT new_id, 1, new_id, 'well', NULL, 1
FROM crowd
WHERE mod(n, 1100) = 0 AND new_id < (SELECT max(job_id) FROM saga_jobs);

-- name: forgotten
DROP TABLE crowd;

-- name: settled
VACUUM ANALYZE;
