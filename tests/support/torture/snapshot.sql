-- What the checks of a torture run read, apart from audits and ledgers. All of it is read in one transaction.

-- name: sqlite_events
SELECT rowid, originator_id, originator_version, topic, state FROM saga_events ORDER BY rowid

-- name: postgres_events
SELECT notification_id, originator_id, originator_version, topic, state FROM saga_events ORDER BY notification_id

-- name: statuses
SELECT * FROM saga_status ORDER BY saga_id

-- name: steps
SELECT * FROM saga_steps ORDER BY saga_id, direction, ordinal

-- name: sagas
SELECT count(*) FROM saga_status

-- name: open_sagas
SELECT count(*) FROM saga_status WHERE status NOT IN ('completed', 'failed', 'stuck')

-- name: owned_sagas
SELECT count(*) FROM saga_status WHERE owner IS NOT NULL

-- name: restless
-- All that has to come to rest. What a plan has made stuck, which its key says, is at rest.
SELECT (SELECT count(*) FROM saga_status WHERE status NOT IN ('completed', 'failed', 'stuck') OR owner IS NOT NULL)
    + (SELECT count(*) FROM saga_status WHERE status = 'stuck'
        AND saga_key NOT LIKE '%-stuck-%' AND saga_key NOT LIKE '%-closed-account')
    + (SELECT count(*) FROM saga_inbox)
    + (SELECT count(*) FROM saga_unmatched WHERE status IN ('parked', 'redelivering'))
    + (SELECT count(*) FROM saga_consumers WHERE position < (SELECT coalesce(max(position), 0) FROM saga_messages))

-- name: refused
-- What the database has refused for so long that a person has to look: sagas, and messages that they could not take.
SELECT (SELECT count(*) FROM saga_status WHERE error_text LIKE '%planted refusal%' AND status = 'stuck')
    + (SELECT count(*) FROM saga_unmatched WHERE reason LIKE '%planted refusal%' AND status = 'parked')

-- name: mail
SELECT count(*) FROM saga_inbox

-- name: parked
SELECT count(*) FROM saga_unmatched WHERE status IN ('parked', 'redelivering')

-- name: behind
SELECT count(*) FROM saga_consumers WHERE position < (SELECT coalesce(max(position), 0) FROM saga_messages)

-- name: owners
SELECT w.pid, count(*) FROM saga_status AS s JOIN saga_workers AS w ON w.worker_id = s.owner GROUP BY w.pid

-- name: workers
SELECT pid FROM saga_workers

-- name: events
SELECT coalesce(max(position), 0) FROM saga_status

-- name: falsify_double_effect
INSERT INTO shipping_effects (key, operation, undoes, order_id, item, amount, happened_at)
SELECT key, operation, undoes, order_id, item, amount, 0 FROM shipping_effects WHERE undoes IS NULL LIMIT 1

-- name: falsify_no_more
DELETE FROM shipping_effects WHERE happened_at = 0

-- name: falsify_a_row
UPDATE saga_steps SET attempts = attempts + 1
WHERE saga_id = (SELECT min(saga_id) FROM saga_status WHERE status = 'completed')

-- name: falsify_a_row_no_more
UPDATE saga_steps SET attempts = attempts - 1
WHERE saga_id = (SELECT min(saga_id) FROM saga_status WHERE status = 'completed')
