-- What a database holds besides what its server made: the names that its catalogs give to whatever was created in it.

-- name: sqlite
SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite~_autoindex~_saga~_%' ESCAPE '~' ORDER BY type, name;

-- name: postgres
-- A table's type has the name of the table, and the type of arrays of it one with `_` before.
WITH ours AS (
    SELECT oid FROM pg_namespace
    WHERE nspname <> 'information_schema' AND starts_with(nspname, 'pg_') IS FALSE
)
SELECT 'relation', relname::text FROM pg_class WHERE relnamespace IN (SELECT oid FROM ours)
UNION ALL SELECT 'type', ltrim(typname, '_') FROM pg_type WHERE typnamespace IN (SELECT oid FROM ours)
UNION ALL SELECT 'function', proname FROM pg_proc WHERE pronamespace IN (SELECT oid FROM ours)
UNION ALL SELECT 'operator', oprname FROM pg_operator WHERE oprnamespace IN (SELECT oid FROM ours)
UNION ALL SELECT 'collation', collname FROM pg_collation WHERE collnamespace IN (SELECT oid FROM ours)
UNION ALL SELECT 'statistics', stxname FROM pg_statistic_ext WHERE stxnamespace IN (SELECT oid FROM ours)
UNION ALL SELECT 'constraint', conname FROM pg_constraint WHERE connamespace IN (SELECT oid FROM ours)
UNION ALL SELECT 'trigger', tgname FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'rule', rulename FROM pg_rewrite WHERE rulename <> '_RETURN' AND ev_class >= 16384
UNION ALL SELECT 'policy', polname FROM pg_policy
UNION ALL SELECT 'schema', nspname FROM pg_namespace WHERE oid IN (SELECT oid FROM ours) AND nspname <> 'public'
UNION ALL SELECT 'extension', extname FROM pg_extension WHERE extname <> 'plpgsql'
UNION ALL SELECT 'event trigger', evtname FROM pg_event_trigger
UNION ALL SELECT 'publication', pubname FROM pg_publication
ORDER BY 1, 2;

-- name: tables_of_others
-- What a service may well have had before we came. The types are those that both databases know.
CREATE TABLE tracking (parcel TEXT NOT NULL PRIMARY KEY, place TEXT);

CREATE TABLE events (id INTEGER PRIMARY KEY, what TEXT);

CREATE TABLE participant_inbox (id INTEGER PRIMARY KEY, letter TEXT);

INSERT INTO tracking VALUES ('parcel 7', 'Lisbon');

INSERT INTO participant_inbox VALUES (1, 'dear bank');

-- name: channels
SELECT pg_listening_channels();

-- name: tracked
SELECT application_name, notification_id FROM saga_tracking ORDER BY application_name;

-- name: tracked_of_old
SELECT application_name, notification_id FROM tracking ORDER BY application_name;

-- name: tracked_by_the_first_release
INSERT INTO tracking VALUES ('upstream', 41);

-- name: built_on_tracking
CREATE VIEW how_far AS SELECT max(notification_id) FROM tracking;

-- name: parcels
SELECT parcel, place FROM tracking;

-- name: schemas_with_tables
SELECT DISTINCT schemaname::text FROM pg_tables WHERE tablename LIKE 'saga~_%' ESCAPE '~'

-- name: leased_by_the_first_release
INSERT INTO saga_workers (worker_id, host, pid, started_at, lease_until)
SELECT 'w1', 'a-machine', 4242, min(updated_at), min(updated_at) + 10000000 FROM saga_status;

-- name: shape_in_sqlite
-- Everything that was made, by the statement that makes it.
SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite%' ORDER BY type, name;

-- name: shape_in_postgres
-- Every column, with its type, default and collation; every constraint, index and view.
SELECT 'column', format('%s.%s', c.relname, a.attname),
    concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid), o.collname)
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'v') AND c.relnamespace = current_schema()::regnamespace
LEFT JOIN pg_attrdef AS d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
LEFT JOIN pg_collation AS o ON o.oid = a.attcollation
WHERE a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'constraint', format('%s.%s', conrelid::regclass, conname), pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
UNION ALL
SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()
UNION ALL
SELECT 'view', viewname, definition FROM pg_views WHERE schemaname = current_schema()
ORDER BY 1, 2;

-- name: others_connected
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend';

-- name: rows_read
-- Rows of tables that were read whole, and entries of indexes.
SELECT
    (SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_user_tables)
    + (SELECT coalesce(sum(idx_tup_read), 0) FROM pg_stat_user_indexes);
