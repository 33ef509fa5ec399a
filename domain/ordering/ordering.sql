-- The order book and every statement on it.

-- name: create_orders
CREATE TABLE IF NOT EXISTS ordering_orders (
    order_id TEXT PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,  -- idempotency key of the placing
    total_cents INTEGER NOT NULL,
    content TEXT NOT NULL,  -- the whole order as JSON
    placed_at INTEGER NOT NULL  -- microseconds since the epoch
) WITHOUT ROWID

-- name: create_returns
-- Returns that are over: the goods are back and so is the money.
CREATE TABLE IF NOT EXISTS ordering_returns (
    return_id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    closed_at INTEGER NOT NULL  -- microseconds since the epoch
) WITHOUT ROWID

-- name: create_effects
-- No unique index: the ledger is the witness that counts, so it must be able to show a double effect.
CREATE TABLE IF NOT EXISTS ordering_effects (
    position INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    operation TEXT NOT NULL,  -- place, close_return
    undoes TEXT,
    order_id TEXT NOT NULL,
    item TEXT NOT NULL,
    amount INTEGER NOT NULL,  -- change of the orders in the book
    happened_at INTEGER NOT NULL  -- microseconds since the epoch
)

-- name: append_effect
INSERT INTO ordering_effects (key, operation, undoes, order_id, item, amount, happened_at)
VALUES (:key, :operation, :undoes, :order_id, :item, :amount, :happened_at)

-- name: effects
SELECT key, operation, undoes, order_id, item, amount, happened_at
FROM ordering_effects ORDER BY position

-- name: order
SELECT order_id, key, content FROM ordering_orders WHERE order_id = :order_id

-- name: order_by_key
SELECT order_id, key, content FROM ordering_orders WHERE key = :key

-- name: insert_order
INSERT INTO ordering_orders (order_id, key, total_cents, content, placed_at)
VALUES (:order_id, :key, :total_cents, :content, :placed_at)

-- name: totals
SELECT order_id, total_cents FROM ordering_orders ORDER BY order_id

-- name: insert_return
INSERT INTO ordering_returns (return_id, order_id, closed_at) VALUES (:return_id, :order_id, :closed_at)
ON CONFLICT DO NOTHING

-- name: closed_returns
SELECT return_id, order_id FROM ordering_returns ORDER BY return_id
