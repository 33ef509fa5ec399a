-- What projections ask of PostgreSQL alone, block by block.

-- name: lock_name
-- One process at a time makes, switches or removes generations of a projection.
SELECT pg_advisory_xact_lock(hashtextextended('saga_projection ' || :projection, 0))

-- name: lock_log
-- As whoever writes to the log does.
LOCK TABLE saga_events IN EXCLUSIVE MODE

-- name: readers_wait
-- A view cannot be exchanged while a reader still reads through it; whoever switches tries again rather than hold up others.
SELECT set_config('lock_timeout', '2s', true)

-- name: granted
-- Who may read a view, so that they still may when it had to be made anew.
SELECT grantee, privilege_type FROM information_schema.role_table_grants
WHERE table_schema = current_schema() AND table_name = :name AND grantee <> current_user

-- name: is_taken
SELECT EXISTS (
    SELECT 1 FROM pg_class WHERE relname = lower(:name) AND relnamespace = current_schema()::regnamespace
)

-- name: show_instead
CREATE OR REPLACE VIEW <name> AS SELECT * FROM <table>

-- name: grant
GRANT <privilege> ON <name> TO <role>

-- name: is_made
SELECT to_regclass('saga_projection_events') IS NOT NULL
