-- What blows do to a database. `{}` is the part that chance fills in.

-- name: sqlite_lock
BEGIN IMMEDIATE

-- name: sqlite_unlock
ROLLBACK

-- name: sqlite_refuse_event
CREATE TRIGGER IF NOT EXISTS planted_event BEFORE INSERT ON saga_events WHEN {which}
BEGIN SELECT {how}; END

-- name: sqlite_refuse_status
CREATE TRIGGER IF NOT EXISTS planted_status BEFORE UPDATE ON saga_status
WHEN NEW.version <> OLD.version AND {which}
BEGIN SELECT {how}; END

-- name: sqlite_accept_event
DROP TRIGGER IF EXISTS planted_event

-- name: sqlite_accept_status
DROP TRIGGER IF EXISTS planted_status

-- name: postgres_hook
-- The triggers are there from the beginning, so that to change what they do needs no lock on a table.
CREATE OR REPLACE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$

-- name: postgres_hook_events
CREATE TRIGGER planted_event BEFORE INSERT ON saga_events FOR EACH ROW EXECUTE FUNCTION planted()

-- name: postgres_hook_statuses
CREATE TRIGGER planted_status BEFORE UPDATE OF version ON saga_status FOR EACH ROW EXECUTE FUNCTION planted()

-- name: postgres_refuse
CREATE OR REPLACE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    saga text := coalesce(to_jsonb(NEW) ->> 'saga_id', to_jsonb(NEW) ->> 'originator_id');
BEGIN
    IF TG_TABLE_NAME = '{table}' AND {which} THEN
        RAISE EXCEPTION 'planted refusal' USING ERRCODE = '{how}';
    END IF;
    RETURN NEW;
END $$

-- name: postgres_lock
LOCK TABLE {table} IN {mode} MODE

-- name: postgres_end_backends
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND {which}

-- name: postgres_read_only_database
ALTER DATABASE {database} SET default_transaction_read_only = on

-- name: postgres_writable_database
ALTER DATABASE {database} RESET default_transaction_read_only

-- name: postgres_read_only_server
ALTER SYSTEM SET default_transaction_read_only = on

-- name: postgres_writable_server
ALTER SYSTEM RESET default_transaction_read_only

-- name: postgres_reload
SELECT pg_reload_conf()

-- name: postgres_writable_session
SET default_transaction_read_only = off
