-- The tables of the payment service and every statement on them. The balance is always the sum of the
-- amounts in payments_effects; both are written in one transaction.

-- name: create_account
-- The merchant's account: one row.
CREATE TABLE IF NOT EXISTS payments_account (
    name TEXT PRIMARY KEY,
    balance_cents INTEGER NOT NULL
) WITHOUT ROWID

-- name: create_captures
CREATE TABLE IF NOT EXISTS payments_captures (
    key TEXT PRIMARY KEY,  -- idempotency key of the capture
    order_id TEXT NOT NULL,
    card_token TEXT NOT NULL,
    amount_cents INTEGER NOT NULL,
    status TEXT NOT NULL,  -- captured, refunded, declined, or void: refunded before it was made
    reason TEXT NOT NULL,  -- why it was declined
    undone_by TEXT,  -- idempotency key of the refund
    refund_tries INTEGER NOT NULL DEFAULT 0  -- how often the bank was asked for the refund
) WITHOUT ROWID

-- name: create_reopened
-- Cards whose account was closed and is open again: a person has talked to the bank.
CREATE TABLE IF NOT EXISTS payments_reopened (
    card_token TEXT NOT NULL,
    order_id TEXT NOT NULL,
    PRIMARY KEY (card_token, order_id)
) WITHOUT ROWID

-- name: create_paybacks
-- What customers got back for goods that they returned.
CREATE TABLE IF NOT EXISTS payments_paybacks (
    key TEXT PRIMARY KEY,  -- idempotency key of the pay-back
    return_id TEXT NOT NULL,
    order_id TEXT NOT NULL,
    amount_cents INTEGER NOT NULL,
    status TEXT NOT NULL,  -- paid or refused
    reason TEXT NOT NULL  -- why it was refused
) WITHOUT ROWID

-- name: create_effects
-- No unique index: the ledger is the witness that counts, so it must be able to show a double effect.
CREATE TABLE IF NOT EXISTS payments_effects (
    position INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    operation TEXT NOT NULL,  -- capture, refund, pay_back
    undoes TEXT,
    order_id TEXT NOT NULL,
    item TEXT NOT NULL,  -- card token
    amount INTEGER NOT NULL,  -- change of the balance in cents
    happened_at INTEGER NOT NULL  -- microseconds since the epoch
)

-- name: append_effect
INSERT INTO payments_effects (key, operation, undoes, order_id, item, amount, happened_at)
VALUES (:key, :operation, :undoes, :order_id, :item, :amount, :happened_at)

-- name: effects
SELECT key, operation, undoes, order_id, item, amount, happened_at
FROM payments_effects ORDER BY position

-- name: move
INSERT INTO payments_account (name, balance_cents) VALUES ('merchant', :amount_cents)
ON CONFLICT (name) DO UPDATE SET balance_cents = balance_cents + excluded.balance_cents

-- name: balance
SELECT balance_cents FROM payments_account WHERE name = 'merchant'

-- name: capture
SELECT key, order_id, card_token, amount_cents, status, reason, refund_tries
FROM payments_captures WHERE key = :key

-- name: insert_capture
INSERT INTO payments_captures (key, order_id, card_token, amount_cents, status, reason, undone_by)
VALUES (:key, :order_id, :card_token, :amount_cents, :status, :reason, :undone_by)

-- name: refund
UPDATE payments_captures SET status = 'refunded', undone_by = :undone_by WHERE key = :key

-- name: count_refund_try
UPDATE payments_captures SET refund_tries = refund_tries + 1 WHERE key = :key

-- name: reopen
INSERT INTO payments_reopened (card_token, order_id) VALUES (:card_token, :order_id)
ON CONFLICT DO NOTHING

-- name: reopened
SELECT card_token FROM payments_reopened WHERE card_token = :card_token AND order_id = :order_id

-- name: payback
SELECT key, return_id, order_id, amount_cents, status, reason FROM payments_paybacks WHERE key = :key

-- name: insert_payback
INSERT INTO payments_paybacks (key, return_id, order_id, amount_cents, status, reason)
VALUES (:key, :return_id, :order_id, :amount_cents, :status, :reason)

-- name: captured_for
-- What an order was paid with, and what of it was paid back.
SELECT c.card_token, c.amount_cents,
    COALESCE((
        SELECT SUM(p.amount_cents) FROM payments_paybacks AS p
        WHERE p.order_id = c.order_id AND p.status = 'paid'), 0) AS paid_back_cents
FROM payments_captures AS c
WHERE c.order_id = :order_id AND c.status = 'captured'
ORDER BY c.key

-- name: paid_back
SELECT key, return_id FROM payments_paybacks WHERE status = 'paid' ORDER BY key

-- name: live
SELECT key, order_id FROM payments_captures WHERE status = 'captured' ORDER BY key
