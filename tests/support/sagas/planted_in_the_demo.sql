-- What tests plant in a copy of the demo's database, each of which the command line has to find.

-- name: a_wrong_status
UPDATE saga_status SET status = 'completed' WHERE status = 'stuck';

-- name: a_missing_step
DELETE FROM saga_steps WHERE direction = 'compensation' AND step = 'create_shipment';

-- name: a_step_too_many
INSERT INTO saga_steps (saga_id, step, direction, ordinal, status, attempts, position)
SELECT saga_id, 'wrap_gift', 'action', 9, 'succeeded', 1, 1 FROM saga_status WHERE saga_key = 'order-0001';

-- name: a_missing_row
DELETE FROM saga_status WHERE saga_key = 'order-0001';

-- name: a_changed_event
UPDATE saga_events SET topic = 'sagalog.SagaCompleted.1', state = CAST('{"time":1}' AS BLOB)
WHERE originator_version = 1 AND originator_id = (SELECT saga_id FROM saga_status WHERE saga_key = 'order-0001');

-- name: a_step_that_is_not_undone
UPDATE saga_steps SET status = 'failed'
WHERE direction = 'compensation' AND step = 'create_shipment';

-- name: a_newer_schema
INSERT INTO saga_schema (number, name, applied_at) VALUES (9999, 'from the future', 0);
