-- What the support desk is asked: where an order stands, what was paid, and what became of the money and the parcel.
-- One row is one run of an order's saga.

CREATE TABLE {order_desk} (
    saga_id TEXT NOT NULL PRIMARY KEY,
    order_id TEXT NOT NULL,
    -- the way the order is fulfilled
    saga TEXT NOT NULL,
    customer TEXT NOT NULL,
    total_cents BIGINT NOT NULL,
    -- 'open', 'undoing', 'stuck', 'delivered' or 'undone'
    status TEXT NOT NULL,
    -- what was done or undone last
    last_step TEXT,
    paid_cents BIGINT NOT NULL,
    refunded_cents BIGINT NOT NULL,
    tracking_id TEXT,
    reason TEXT,
    started_at BIGINT NOT NULL,
    -- how old the row is: the event that it reflects, and when that was
    changed_at BIGINT NOT NULL,
    position BIGINT NOT NULL
);

CREATE INDEX {order_desk_order} ON {order_desk} (order_id);

CREATE INDEX {order_desk_customer} ON {order_desk} (customer, started_at);

-- Orders that were placed where nobody is in charge: their saga begins with an event, and has no input of its own.
CREATE TABLE {desk_placed} (
    order_id TEXT NOT NULL PRIMARY KEY,
    customer TEXT NOT NULL,
    total_cents BIGINT NOT NULL,
    position BIGINT NOT NULL
);

-- name: start
INSERT INTO {order_desk} (
    saga_id, order_id, saga, customer, total_cents, status, paid_cents, refunded_cents, started_at, changed_at, position
) VALUES (:saga_id, :order_id, :saga, :customer, :total_cents, 'open', 0, 0, :at, :at, :position);

-- name: step
UPDATE {order_desk} SET last_step = :step, changed_at = :at, position = :position WHERE saga_id = :saga_id;

-- name: paid
UPDATE {order_desk} SET paid_cents = :cents WHERE saga_id = :saga_id;

-- name: refunded
UPDATE {order_desk} SET refunded_cents = paid_cents WHERE saga_id = :saga_id;

-- name: shipped
UPDATE {order_desk} SET tracking_id = :tracking_id WHERE saga_id = :saga_id;

-- name: cancelled
UPDATE {order_desk} SET tracking_id = NULL WHERE saga_id = :saga_id;

-- name: status
UPDATE {order_desk} SET status = :status, reason = coalesce(:reason, reason), changed_at = :at, position = :position
WHERE saga_id = :saga_id;

-- name: placed
INSERT INTO {desk_placed} (order_id, customer, total_cents, position) VALUES (:order_id, :customer, :total_cents, :position);

-- name: placed_by
SELECT customer, total_cents FROM {desk_placed} WHERE order_id = :order_id;

-- name: forget
DELETE FROM {order_desk} WHERE saga_id = :saga_id;

-- name: forget_placed
DELETE FROM {desk_placed} WHERE order_id = :order_id;
