-- What is measured of projections: a row for each saga, as a support desk would want it, the same on both databases.

CREATE TABLE {orders} (
    order_id TEXT NOT NULL PRIMARY KEY,
    customer TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    steps BIGINT NOT NULL,
    position BIGINT NOT NULL
);

-- How far the plain driver has come. A projection has that of its own.
CREATE TABLE {reached} (position BIGINT NOT NULL);

-- name: start
INSERT INTO {orders} (order_id, customer, status, steps, position) VALUES (:order_id, :customer, 'open', 0, :position);

-- name: step
UPDATE {orders} SET steps = steps + :more, position = :position WHERE order_id = :order_id;

-- name: end
UPDATE {orders} SET status = :status, reason = :reason, position = :position WHERE order_id = :order_id;

-- name: begin
INSERT INTO {reached} (position) VALUES (:position);

-- name: reach
UPDATE {reached} SET position = :position;
