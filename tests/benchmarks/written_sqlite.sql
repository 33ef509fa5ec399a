-- What a SQLite file was made to write.

-- name: empty
PRAGMA wal_checkpoint(TRUNCATE);

-- name: hold
-- Whoever reads the file as it was keeps the log from being written from its start again.
SELECT count(*) FROM sqlite_master;
