-- What a customer has been through with the shop, line by line, in the order in which it happened.

CREATE TABLE {customer_history} (
    position BIGINT NOT NULL PRIMARY KEY,
    customer TEXT NOT NULL,
    order_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    -- 'ordered', 'paid', 'refunded', 'shipped', 'delivered', 'undone' or 'waits for us'
    what TEXT NOT NULL,
    detail TEXT
);

CREATE INDEX {customer_history_customer} ON {customer_history} (customer, position);

CREATE TABLE {customer_orders} (
    saga_id TEXT NOT NULL PRIMARY KEY,
    customer TEXT NOT NULL,
    order_id TEXT NOT NULL,
    position BIGINT NOT NULL
);

-- Orders that were placed where nobody is in charge: their saga begins with an event, and has no input of its own.
CREATE TABLE {customer_placed} (
    order_id TEXT NOT NULL PRIMARY KEY,
    customer TEXT NOT NULL,
    total_cents BIGINT NOT NULL,
    position BIGINT NOT NULL
);

-- name: order
INSERT INTO {customer_orders} (saga_id, customer, order_id, position) VALUES (:saga_id, :customer, :order_id, :position);

-- name: tell
INSERT INTO {customer_history} (position, customer, order_id, at, what, detail)
SELECT :position, customer, order_id, :at, :what, :detail FROM {customer_orders} WHERE saga_id = :saga_id;

-- name: placed
INSERT INTO {customer_placed} (order_id, customer, total_cents, position) VALUES (:order_id, :customer, :total_cents, :position);

-- name: placed_by
SELECT customer, total_cents FROM {customer_placed} WHERE order_id = :order_id;

-- name: forget
DELETE FROM {customer_history} WHERE position = :position;

-- name: forget_order
DELETE FROM {customer_orders} WHERE saga_id = :saga_id;

-- name: forget_placed
DELETE FROM {customer_placed} WHERE order_id = :order_id;
