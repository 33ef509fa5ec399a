-- What tests plant in the tables of orders that were taken one way or another: each is found by an audit, and is the same
-- wrong for every way.

-- name: a_refund_that_was_not_made
UPDATE saga_steps SET status = 'failed'
WHERE direction = 'compensation' AND undoes IN ('process_payment', 'PaymentProcessed')
  AND saga_id = (SELECT saga_id FROM saga_status WHERE saga_key = 'order-0139')

-- name: an_end_without_a_time
UPDATE saga_status SET ended_at = NULL WHERE saga_key = 'order-0001'

-- name: a_reason_that_is_gone
UPDATE saga_status SET error_text = NULL WHERE status = 'stuck'
