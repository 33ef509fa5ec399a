-- The tables of the carrier and every statement on them. The parcels booked are always the sum of the
-- amounts in shipping_effects; both are written in one transaction.

-- name: create_tries
-- How often the carrier was asked under a key: its outages are counted in tries, not in time.
CREATE TABLE IF NOT EXISTS shipping_tries (
    key TEXT PRIMARY KEY,
    tries INTEGER NOT NULL
) WITHOUT ROWID

-- name: create_shipments
CREATE TABLE IF NOT EXISTS shipping_shipments (
    key TEXT PRIMARY KEY,  -- idempotency key of the booking
    order_id TEXT NOT NULL,
    destination TEXT NOT NULL,
    status TEXT NOT NULL,  -- booked, cancelled, refused, or void: cancelled before it was booked
    reason TEXT NOT NULL,  -- why it was refused
    undone_by TEXT  -- idempotency key of the cancellation
) WITHOUT ROWID

-- name: create_effects
-- No unique index: the ledger is the witness that counts, so it must be able to show a double effect.
CREATE TABLE IF NOT EXISTS shipping_effects (
    position INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    operation TEXT NOT NULL,  -- book, cancel
    undoes TEXT,
    order_id TEXT NOT NULL,
    item TEXT NOT NULL,  -- destination
    amount INTEGER NOT NULL,  -- change of the parcels booked
    happened_at INTEGER NOT NULL  -- microseconds since the epoch
)

-- name: append_effect
INSERT INTO shipping_effects (key, operation, undoes, order_id, item, amount, happened_at)
VALUES (:key, :operation, :undoes, :order_id, :item, :amount, :happened_at)

-- name: effects
SELECT key, operation, undoes, order_id, item, amount, happened_at
FROM shipping_effects ORDER BY position

-- name: count_try
INSERT INTO shipping_tries (key, tries) VALUES (:key, 1)
ON CONFLICT (key) DO UPDATE SET tries = tries + 1

-- name: tries
SELECT tries FROM shipping_tries WHERE key = :key

-- name: shipment
SELECT key, order_id, destination, status, reason FROM shipping_shipments WHERE key = :key

-- name: insert_shipment
INSERT INTO shipping_shipments (key, order_id, destination, status, reason, undone_by)
VALUES (:key, :order_id, :destination, :status, :reason, :undone_by)

-- name: cancel
UPDATE shipping_shipments SET status = 'cancelled', undone_by = :undone_by WHERE key = :key

-- name: live
SELECT key, order_id FROM shipping_shipments WHERE status = 'booked' ORDER BY key
