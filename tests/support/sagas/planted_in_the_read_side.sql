-- Faults that are planted in the tables of a shop that has worked, each of which one audit has to find. The tables of a
-- projection are those of its first generation. :saga stands for a saga that has completed, and :open for one that has not.

-- name: more_refunded_than_captured
INSERT INTO money_movements_g1 (position, day, saga_id, what, cents, at) VALUES (900000, '2026-01-02', :saga, 'refunded', 5, 1);

-- name: earned_twice
INSERT INTO money_movements_g1 (position, day, saga_id, what, cents, at)
SELECT 900000, day, saga_id, 'earned', cents, at FROM money_movements_g1 WHERE saga_id = :saga AND what = 'earned';

-- name: earned_before_it_was_captured
UPDATE money_movements_g1 SET position = -position WHERE saga_id = :saga AND what = 'earned';

-- name: never_earned
DELETE FROM money_movements_g1 WHERE saga_id = :saga AND what = 'earned';

-- name: captured_less_than_nothing
UPDATE money_movements_g1 SET cents = 0 WHERE saga_id = :saga;

-- name: an_order_on_the_desk_alone
UPDATE order_desk_g1 SET saga_id = 'nobody' WHERE saga_id = :saga;

-- name: an_order_of_a_customer_alone
UPDATE customer_orders_g1 SET saga_id = 'nobody' WHERE saga_id = :saga;

-- name: an_open_saga_alone
INSERT INTO open_sagas_g1 (saga_id, saga, saga_key, started_at, direction, last_event, changed_at, position)
VALUES ('nobody', 'order-fulfilment', 'x', 1, 'forward', 'SagaStarted', 1, 1);

-- name: a_saga_that_is_gone
DELETE FROM saga_status WHERE saga_id = :saga;

-- name: a_saga_that_is_open_again
UPDATE saga_status SET status = 'pending', ended_at = NULL, due_at = 1 WHERE saga_id = :saga;

-- name: the_table_is_behind
UPDATE saga_projections SET position = 0 WHERE projection = 'money';

-- name: an_event_is_parked
INSERT INTO saga_projection_events
    (projection, generation, position, lane, event, saga_id, status, attempts, due_at, error_type, error_text, parked_at)
VALUES ('money', 1, 1, 'x', 'SagaCompleted', :saga, 'parked', 1, 1, 'ValueError', 'a test', 1);

-- name: settled_by_nobody
INSERT INTO saga_unmatched
    (unmatched_id, consumer, message_id, kind, name, source, reason, message, parked_at, status, actor, settled_reason, settled_at)
VALUES ('u-1', 'door', 'm-1', 'event', 'Known', 'here', 'a test', '{}', 1, 'discarded', 'ada', ' ', 2);

-- name: set_aside_and_routed
INSERT INTO saga_unmatched
    (unmatched_id, consumer, message_id, kind, name, source, reason, message, parked_at, status)
VALUES ('u-1', 'door', 'm-1', 'event', 'Known', 'here', 'it could not be routed yet: a test', '{}', 1, 'redelivered');

-- name: resumed_without_a_reason
INSERT INTO saga_events (originator_id, originator_version, topic, state)
SELECT saga_id, 1000, 'sagalog.SagaResumed.1', CAST('{"time":1,"actor":"ada","reason":" "}' AS BLOB)
FROM saga_status WHERE saga_id = :saga;
