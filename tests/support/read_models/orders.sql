-- Orders and the money that moved, for tests of projections.

CREATE TABLE {orders} (
    order_id TEXT NOT NULL PRIMARY KEY,
    status TEXT NOT NULL,
    reason TEXT,
    steps BIGINT NOT NULL,
    position BIGINT NOT NULL
);

CREATE TABLE {money} (
    position BIGINT NOT NULL,
    order_id TEXT NOT NULL,
    cents BIGINT NOT NULL,
    PRIMARY KEY (position, order_id)
);

CREATE INDEX {money_orders} ON {money} (order_id);

CREATE VIEW {balances} AS SELECT order_id, sum(cents) AS cents FROM {money} GROUP BY order_id;

-- name: start
INSERT INTO {orders} (order_id, status, steps, position) VALUES (:order_id, 'open', 0, :position);

-- name: step
UPDATE {orders} SET steps = steps + :more, position = :position WHERE order_id = :order_id;

-- name: end
UPDATE {orders} SET status = :status, reason = :reason, position = :position WHERE order_id = :order_id;

-- name: move
INSERT INTO {money} (position, order_id, cents) VALUES (:position, :order_id, :cents);

-- name: forget_order
DELETE FROM {orders} WHERE order_id = :order_id;

-- name: forget_money
DELETE FROM {money} WHERE order_id = :order_id;
