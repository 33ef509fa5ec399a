-- The tables of the inventory and every statement on them. A level in inventory_stock is always the
-- sum of its SKU's amounts in inventory_effects; both are written in one transaction.

-- name: create_stock
CREATE TABLE IF NOT EXISTS inventory_stock (
    sku TEXT PRIMARY KEY,
    on_hand INTEGER NOT NULL CHECK (on_hand >= 0)
) WITHOUT ROWID

-- name: create_receipts
-- Deliveries already put on the shelf, so that one that is announced twice counts once.
CREATE TABLE IF NOT EXISTS inventory_receipts (
    key TEXT PRIMARY KEY,
    sku TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    status TEXT NOT NULL
) WITHOUT ROWID

-- name: create_reservations
CREATE TABLE IF NOT EXISTS inventory_reservations (
    key TEXT PRIMARY KEY,  -- idempotency key of the reservation
    order_id TEXT NOT NULL,
    quantities TEXT NOT NULL,  -- JSON object, pieces by SKU, sorted
    status TEXT NOT NULL,  -- reserved, released, refused, or void: released before it was made
    reason TEXT NOT NULL,  -- why it was refused
    undone_by TEXT  -- idempotency key of the release
) WITHOUT ROWID

-- name: create_restocks
-- Pieces that customers sent back and that are on the shelf again.
CREATE TABLE IF NOT EXISTS inventory_restocks (
    key TEXT PRIMARY KEY,  -- idempotency key of the restocking
    return_id TEXT NOT NULL,
    sku TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    status TEXT NOT NULL,  -- restocked, withdrawn, or void: withdrawn before it was made
    undone_by TEXT  -- idempotency key of the withdrawal
) WITHOUT ROWID

-- name: create_effects
-- No unique index: the ledger is the witness that counts, so it must be able to show a double effect.
CREATE TABLE IF NOT EXISTS inventory_effects (
    position INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    operation TEXT NOT NULL,  -- receive, reserve, release, restock, withdraw
    undoes TEXT,
    order_id TEXT NOT NULL,
    item TEXT NOT NULL,  -- SKU
    amount INTEGER NOT NULL,  -- change of the pieces on hand
    happened_at INTEGER NOT NULL  -- microseconds since the epoch
)

-- name: append_effect
INSERT INTO inventory_effects (key, operation, undoes, order_id, item, amount, happened_at)
VALUES (:key, :operation, :undoes, :order_id, :item, :amount, :happened_at)

-- name: effects
SELECT key, operation, undoes, order_id, item, amount, happened_at
FROM inventory_effects ORDER BY position

-- name: receipt
SELECT key, sku, quantity, status FROM inventory_receipts WHERE key = :key

-- name: insert_receipt
INSERT INTO inventory_receipts (key, sku, quantity, status) VALUES (:key, :sku, :quantity, 'received')

-- name: put
INSERT INTO inventory_stock (sku, on_hand) VALUES (:sku, :quantity)
ON CONFLICT (sku) DO UPDATE SET on_hand = on_hand + excluded.on_hand

-- name: take
-- Changes no row when too little is on hand.
UPDATE inventory_stock SET on_hand = on_hand - :quantity WHERE sku = :sku AND on_hand >= :quantity

-- name: on_hand
SELECT on_hand FROM inventory_stock WHERE sku = :sku

-- name: levels
SELECT sku, on_hand FROM inventory_stock ORDER BY sku

-- name: reservation
SELECT key, order_id, quantities, status, reason FROM inventory_reservations WHERE key = :key

-- name: insert_reservation
INSERT INTO inventory_reservations (key, order_id, quantities, status, reason, undone_by)
VALUES (:key, :order_id, :quantities, :status, :reason, :undone_by)

-- name: release
UPDATE inventory_reservations SET status = 'released', undone_by = :undone_by WHERE key = :key

-- name: restock
SELECT key, return_id, sku, quantity, status FROM inventory_restocks WHERE key = :key

-- name: insert_restock
INSERT INTO inventory_restocks (key, return_id, sku, quantity, status, undone_by)
VALUES (:key, :return_id, :sku, :quantity, :status, :undone_by)

-- name: withdraw
UPDATE inventory_restocks SET status = 'withdrawn', undone_by = :undone_by WHERE key = :key

-- name: restocked
SELECT key, return_id FROM inventory_restocks WHERE status = 'restocked' ORDER BY key

-- name: live
SELECT key, order_id FROM inventory_reservations WHERE status = 'reserved' ORDER BY key
