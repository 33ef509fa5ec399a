-- What a PostgreSQL database was made to write.

-- name: so_far
-- Bytes of the write-ahead log; transactions that wrote, since only those get a number; and all that were committed. The
-- first two are the server's: nothing else may write meanwhile.
SELECT
    (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
    (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database());

-- name: others
-- The last number above is right when every other connection has ended, and not before.
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
