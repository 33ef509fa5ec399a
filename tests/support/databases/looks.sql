-- What tests of the PostgreSQL store ask a database behind the store's back.

-- name: columns
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position

-- name: sqlite_columns
SELECT tables.name, columns.name
FROM sqlite_master AS tables JOIN pragma_table_info(tables.name) AS columns
WHERE tables.type IN ('table', 'view') ORDER BY tables.name, columns.cid

-- name: index_names
SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND indexname LIKE 'saga_status%'

-- name: sqlite_index_names
SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'saga_status%'

-- name: log_columns
SELECT column_name, data_type, is_nullable FROM information_schema.columns
WHERE table_schema = $1 AND table_name = 'saga_events' ORDER BY ordinal_position

-- name: next_transaction
SELECT pg_snapshot_xmax(pg_current_snapshot())::text

-- name: updates_in_place
SELECT n_tup_hot_upd, n_tup_upd FROM pg_stat_user_tables WHERE relname = 'saga_status'

-- name: newer_schema
INSERT INTO saga_schema VALUES (99, 'from the future', 0)

-- name: lose_row
DELETE FROM saga_status WHERE saga_id = $1

-- name: history
SELECT saga_id, version, time, type, data FROM saga_history ORDER BY position

-- name: end_listeners
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE '%LISTEN saga_events%' AND pid <> pg_backend_pid()
