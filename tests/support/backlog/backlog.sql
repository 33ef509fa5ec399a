-- A database in which a worker, `w-ours`, finds a little to do among very much that is not
-- for it, and so does `w-busy`, which owns many sagas: the same on both databases
-- but for what makes numbers and bytes. `:finished` and `:open` are how many sagas have ended and are open besides; `numbers`
-- is a table with as many numbers. Times are in microseconds; now is 1000000.

-- name: numbers_sqlite
CREATE TEMP TABLE numbers AS
WITH RECURSIVE one (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM one WHERE n < :most) SELECT n FROM one;

-- name: numbers_postgres
CREATE TEMP TABLE numbers AS SELECT n FROM generate_series(1, :most) AS one (n);

-- name: events_sqlite
INSERT INTO saga_events (originator_id, originator_version, topic, state)
SELECT saga_id, n, 'sagalog.StepSucceeded.1', CAST('{}' AS BLOB)
FROM saga_status CROSS JOIN (SELECT 1 AS n UNION ALL SELECT 2) AS versions;

-- name: events_postgres
INSERT INTO saga_events (originator_id, originator_version, topic, state)
SELECT saga_id, n, 'sagalog.StepSucceeded.1', convert_to('{}', 'UTF8')
FROM saga_status CROSS JOIN (SELECT 1 AS n UNION ALL SELECT 2) AS versions;

-- name: finished
INSERT INTO saga_status (
    saga_id, saga_name, saga_version, definition, saga_key, run, status, attempt, correlation_id, started_at, updated_at,
    ended_at, version, position
)
SELECT
    'finished-' || n, 'orders', 1, CASE WHEN n % 2 = 0 THEN 'ours' ELSE 'theirs' END, 'finished-' || n, 1, 'completed', 0,
    'c-finished-' || n, 1, 1, 1, 2, n
FROM numbers WHERE n <= :finished;

-- name: open
-- In turns: due of a definition that is not here; with mail, of that one; of ours that sleep; of busy workers; stuck.
INSERT INTO saga_status (
    saga_id, saga_name, saga_version, definition, saga_key, run, status, attempt, correlation_id, started_at, updated_at,
    error_type, due_at, version, position, owner
)
SELECT
    'open-' || n, 'orders', 1, CASE WHEN n % 5 < 2 THEN 'theirs' ELSE 'ours' END, 'open-' || n, 1,
    CASE WHEN n % 5 = 4 THEN 'stuck' ELSE 'pending' END, 0, 'c-open-' || n, 1, 1,
    CASE WHEN n % 5 = 4 THEN 'Timeout' END,
    CASE n % 5 WHEN 0 THEN n WHEN 2 THEN 2000000 + n END, 2, n,
    CASE n % 10 WHEN 3 THEN 'w-other' WHEN 8 THEN 'w-busy' END
FROM numbers WHERE n <= :open;

-- name: mail_of_others
INSERT INTO saga_inbox (recipient, message_id, position, lane, name, status, attempts, due_at, arrived_at)
SELECT 'open-' || n, 'm-' || n, n, 'open-' || n, 'OrderPlaced', 'pending', 0, 1, 1
FROM numbers WHERE n <= :open AND n % 5 = 1;

-- name: messages
INSERT INTO saga_messages (position, message_id, kind, name, source, correlation_id, time)
SELECT n, 'm-' || n, 'event', 'OrderPlaced', 'shop', 'c-' || n, 1 FROM numbers WHERE n <= :open;

-- name: commands
INSERT INTO saga_commands (
    command_id, name, saga_id, step, direction, status, sendings, deliveries, correlation_id, issued_at, position
)
SELECT 'k-' || n, 'ProcessPayment', 'open-' || n, 'pay', 'action', 'sent', 1, 1, 'c-' || n, 1, n FROM numbers WHERE n <= :open;

-- name: lanes
-- Of our participant: a lane whose first row is parked, one that begins with a row of ours, and lanes that are to be tried
-- again later. Of another one: lanes that could be tried now.
INSERT INTO saga_inbox (recipient, message_id, position, lane, name, status, attempts, due_at, arrived_at)
SELECT
    CASE WHEN n % 4 = 3 THEN 'participant:theirs' ELSE 'participant:ours' END, 'l-' || n, 1000000000 + n,
    CASE n % 4 WHEN 0 THEN 'parked' WHEN 1 THEN 'lane-1' ELSE 'lane-of-' || n END, 'OrderPlaced',
    CASE WHEN n = 4 THEN 'parked' ELSE 'pending' END, CASE WHEN n % 4 = 2 THEN 3 ELSE 0 END,
    CASE WHEN n % 4 = 2 THEN 2000000 ELSE 1 END, 1
FROM numbers WHERE n <= :open;

-- name: unmatched
INSERT INTO saga_unmatched (
    unmatched_id, consumer, message_id, kind, name, source, reason, correlation_id, message, parked_at, status
)
SELECT
    'u-' || n, 'saga:theirs', 'm-' || n, 'event', 'OrderPlaced', 'shop', 'no saga', 'c-' || n, '{}', 1,
    CASE n % 3 WHEN 0 THEN 'parked' WHEN 1 THEN 'redelivering' ELSE 'redelivered' END
FROM numbers WHERE n <= :open;

-- name: jobs
INSERT INTO saga_jobs (job_id, verb, act, filter, actor, reason, status, canary, stop_after, sagas, created_at, updated_at)
SELECT
    'a-' || n, 'cancel', '{}', '', 'ada', 'no stock', CASE WHEN n % 2 = 0 THEN 'done' ELSE 'paused' END, 1, 1, 10, 1, 1
FROM numbers WHERE n <= :open / 100;

-- name: items
INSERT INTO saga_job_items (job_id, number, saga_id, status)
SELECT 'a-' || (n / 10), n, 'open-' || n, 'well' FROM numbers WHERE n <= :open;

-- name: own_sagas
-- Due; with mail; of a worker that has nothing else, or of one that is busy; of one that is dead.
INSERT INTO saga_status (
    saga_id, saga_name, saga_version, definition, saga_key, run, status, attempt, correlation_id, started_at, updated_at,
    due_at, version, position, owner
)
SELECT
    'own-' || n, 'orders', 1, 'ours', 'own-' || n, 1, 'pending', 0, 'c-own-' || n, 1, 1,
    CASE WHEN n % 4 = 0 THEN n END, 2, n, CASE n % 4 WHEN 2 THEN CASE WHEN n % 8 = 2 THEN 'w-ours' ELSE 'w-busy' END WHEN 3 THEN 'w-dead' END
FROM numbers WHERE n <= 40;

-- name: own_mail
INSERT INTO saga_inbox (recipient, message_id, position, lane, name, status, attempts, due_at, arrived_at)
SELECT 'own-' || n, 'own-' || n, 900000000 + n, 'own-' || n, 'OrderPlaced', 'pending', 0, 1, 1 FROM numbers
WHERE n <= 40 AND n % 4 IN (1, 2);

-- name: own_messages
INSERT INTO saga_messages (position, message_id, kind, name, source, correlation_id, time)
SELECT 900000000 + n, 'own-' || n, 'event', 'OrderPlaced', 'shop', 'c-own-' || n, 1 FROM numbers WHERE n <= 40;

-- name: own_commands
INSERT INTO saga_commands (
    command_id, name, saga_id, step, direction, status, sendings, deliveries, correlation_id, issued_at, position
)
SELECT 'own-' || n, 'ProcessPayment', 'own-' || n, 'pay', 'action', 'sent', 1, 1, 'c-own-' || n, 1, n
FROM numbers WHERE n <= 40;

-- name: own_lanes
INSERT INTO saga_inbox (recipient, message_id, position, lane, name, status, attempts, due_at, arrived_at)
SELECT 'participant:ours', 'l-own-' || n, 900000000 + n, 'lane-' || (n % 10), 'OrderPlaced', 'pending', n % 2, 1, 1
FROM numbers WHERE n <= 20;

-- name: projected
-- Behind an event that cannot be handled all later ones of its lane wait.
INSERT INTO saga_projection_events (projection, generation, position, lane, event, status, attempts, due_at, parked_at)
SELECT 'orders', 1, n + 1, 'lane', 'SagaFailed', 'waiting', 0, 1, 1 FROM numbers WHERE n <= :open;

-- name: own_projected
INSERT INTO saga_projection_events (projection, generation, position, lane, event, status, attempts, due_at, parked_at)
VALUES ('orders', 1, 1, 'lane', 'SagaFailed', 'retrying', 1, 1, 1);

-- name: own_unmatched
INSERT INTO saga_unmatched (
    unmatched_id, consumer, message_id, kind, name, source, reason, correlation_id, message, parked_at, status
)
SELECT 'u-own-' || n, 'saga:ours', 'own-' || n, 'event', 'OrderPlaced', 'shop', 'no saga', 'c-' || n, '{}', 1, 'redelivering'
FROM numbers WHERE n <= 10;

-- name: own_job
INSERT INTO saga_jobs (
    job_id, verb, act, filter, actor, reason, status, canary, stop_after, sagas, created_at, updated_at, owner
) VALUES ('job', 'cancel', '{}', '', 'ada', 'no stock', 'running', 1, 1, 20, 1, 1, 'w-dead');

-- name: own_items
INSERT INTO saga_job_items (job_id, number, saga_id, status)
SELECT 'job', n, 'own-' || n, CASE WHEN n % 2 = 0 THEN 'pending' ELSE 'acted' END FROM numbers WHERE n <= 20;

-- name: workers
INSERT INTO saga_workers (worker_id, host, pid, started_at, lease_until, lease_length)
SELECT CASE n WHEN 1 THEN 'w-ours' WHEN 2 THEN 'w-other' WHEN 3 THEN 'w-busy' ELSE 'w-idle-' || n END, 'host', n, 1, 9000000, 1000
FROM numbers WHERE n <= 5;

-- name: consumers
INSERT INTO saga_consumers (consumer, position, owner, updated_at)
SELECT CASE n WHEN 1 THEN 'saga:ours' WHEN 2 THEN 'participant:ours' ELSE 'saga:' || n END, 1,
    CASE n WHEN 1 THEN 'w-ours' WHEN 2 THEN 'w-dead' ELSE 'w-other' END, 1
FROM numbers WHERE n <= 10;

-- name: settle_postgres
VACUUM ANALYZE;

-- name: settle_sqlite
ANALYZE;
