-- Which tables and views a database has, and their columns in order.

-- name: sqlite
SELECT t.name, c.name
FROM sqlite_master AS t, pragma_table_info(t.name) AS c
WHERE t.type IN ('table', 'view') AND t.name NOT LIKE 'sqlite_%'
ORDER BY t.name, c.cid

-- name: postgres
SELECT table_name, column_name
FROM information_schema.columns
WHERE table_schema = current_schema()
ORDER BY table_name, ordinal_position
