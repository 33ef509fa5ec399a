-- The settings every service database needs, and the ends of a transaction.

-- name: journal_mode
PRAGMA journal_mode

-- name: write_ahead_log
PRAGMA journal_mode = WAL

-- name: synchronous
-- FULL: in WAL mode NORMAL may lose acknowledged commits when the machine loses power.
PRAGMA synchronous = FULL

-- name: begin
BEGIN IMMEDIATE

-- name: commit
COMMIT

-- name: roll_back
ROLLBACK
