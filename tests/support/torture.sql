-- What the checks of a torture run read, apart from audits and ledgers. All of it is read in one transaction.

-- name: sqlite_events
SELECT rowid, originator_id, originator_version, topic, state FROM saga_events ORDER BY rowid

-- name: postgres_events
SELECT notification_id, originator_id, originator_version, topic, state FROM saga_events ORDER BY notification_id

-- name: statuses
SELECT * FROM saga_status ORDER BY saga_id

-- name: steps
SELECT * FROM saga_steps ORDER BY saga_id, direction, ordinal

-- name: open_sagas
SELECT count(*) FROM saga_status WHERE status NOT IN ('completed', 'failed', 'stuck')

-- name: owned_sagas
SELECT count(*) FROM saga_status WHERE owner IS NOT NULL

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
