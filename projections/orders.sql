-- What has become of each order: how its saga stands, and what was reserved, paid, shipped and given
-- back. One row is a run of the saga of one order; where nobody is in charge, a step is the event that
-- tells of it, and a parcel that the carrier was asked to cancel is its own affair. Runs unchanged on SQLite (3.38 or later) and on
-- PostgreSQL; the casts are there because ->> gives a number on the one and text on the other.

SELECT
    -- An order that is a part of a return has a key that its saga was given.
    COALESCE(reserved.result ->> 'order_id', s.saga_key) AS order_id,
    s.saga_id,
    s.run,
    s.status,
    s.current_step,
    reserved.result ->> 'reservation_id' AS reservation_id,
    CAST(paid.result ->> 'amount_cents' AS BIGINT) AS paid_cents,
    shipped.result ->> 'tracking_id' AS tracking_id,
    CASE WHEN released.status = 'compensated' THEN 1 ELSE 0 END AS stock_given_back,
    CASE WHEN refunded.status = 'compensated' THEN 1 ELSE 0 END AS money_given_back,
    CASE WHEN cancelled.status = 'compensated' THEN 1 ELSE 0 END AS shipment_cancelled,
    s.error_text AS reason,
    s.started_at,  -- microseconds since the epoch, like every time
    s.ended_at
FROM saga_status AS s
LEFT JOIN saga_steps AS reserved
    ON reserved.saga_id = s.saga_id AND reserved.direction = 'action'
    AND reserved.step IN ('reserve_inventory', 'InventoryReserved') AND reserved.status = 'succeeded'
LEFT JOIN saga_steps AS paid
    ON paid.saga_id = s.saga_id AND paid.direction = 'action'
    AND paid.step IN ('process_payment', 'PaymentProcessed') AND paid.status = 'succeeded'
LEFT JOIN saga_steps AS shipped
    ON shipped.saga_id = s.saga_id AND shipped.direction = 'action'
    AND shipped.step IN ('create_shipment', 'ShipmentCreated') AND shipped.status = 'succeeded'
LEFT JOIN saga_steps AS released
    ON released.saga_id = s.saga_id AND released.direction = 'compensation'
    AND released.undoes IN ('reserve_inventory', 'InventoryReserved')
LEFT JOIN saga_steps AS refunded
    ON refunded.saga_id = s.saga_id AND refunded.direction = 'compensation'
    AND refunded.undoes IN ('process_payment', 'PaymentProcessed')
LEFT JOIN saga_steps AS cancelled
    ON cancelled.saga_id = s.saga_id AND cancelled.direction = 'compensation'
    AND cancelled.undoes IN ('create_shipment', 'ShipmentCreated')
WHERE s.saga_name IN ('order-fulfilment', 'order-fulfilment-remote', 'order-fulfilment-choreographed')
ORDER BY s.saga_id
