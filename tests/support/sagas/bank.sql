-- A bank that keeps its own database: what it did, one row an effect. `money` is 1 for a payment and -1 for a refund.

-- name: create
CREATE TABLE IF NOT EXISTS bank_entries (order_id TEXT NOT NULL, money INTEGER NOT NULL);

-- name: pay_sqlite
INSERT INTO bank_entries VALUES (:order_id, 1);

-- name: refund_sqlite
INSERT INTO bank_entries VALUES (:order_id, -1);

-- name: pay_postgres
INSERT INTO bank_entries VALUES (%(order_id)s, 1);

-- name: refund_postgres
INSERT INTO bank_entries VALUES (%(order_id)s, -1);

-- name: hurry_sqlite
-- What these tests kill is a process, never the machine.
PRAGMA synchronous = OFF;

-- name: hurry_postgres
SET synchronous_commit = off;

-- name: entries
SELECT order_id, money FROM bank_entries;

-- name: entries_of_sqlite
SELECT order_id, money FROM bank_entries WHERE order_id = :order_id;

-- name: entries_of_postgres
SELECT order_id, money FROM bank_entries WHERE order_id = %(order_id)s;

-- name: index
CREATE INDEX IF NOT EXISTS bank_entries_order ON bank_entries (order_id);

-- name: inbox
SELECT action, status, deliveries, command_id, undo_id FROM saga_participant_inbox ORDER BY action;

-- name: actions
SELECT action FROM saga_participant_inbox ORDER BY action;

-- name: columns_sqlite
SELECT name FROM pragma_table_info('saga_participant_inbox') ORDER BY cid;

-- name: columns_postgres
SELECT column_name FROM information_schema.columns WHERE table_name = 'saga_participant_inbox' ORDER BY ordinal_position;
