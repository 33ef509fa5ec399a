-- Disagreements between the tables of the services and their ledgers that no service ever makes.

-- name: double_booking
INSERT INTO shipping_effects (key, operation, undoes, order_id, item, amount, happened_at)
SELECT key, operation, undoes, order_id, item, amount, happened_at
FROM shipping_effects WHERE operation = 'book'

-- name: double_refund
INSERT INTO payments_effects (key, operation, undoes, order_id, item, amount, happened_at)
SELECT key, operation, undoes, order_id, item, amount, happened_at
FROM payments_effects WHERE operation = 'refund'

-- name: undone_unmade
INSERT INTO shipping_effects (key, operation, undoes, order_id, item, amount, happened_at)
VALUES ('k9:undo', 'cancel', 'k9', 'o2', 'Lisbon', -1, 1)

-- name: lost_piece
UPDATE inventory_stock SET on_hand = on_hand - 1 WHERE sku = 'mug'

-- name: lost_cent
UPDATE payments_account SET balance_cents = balance_cents - 1

-- name: lost_row
DELETE FROM shipping_shipments
