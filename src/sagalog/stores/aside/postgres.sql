-- How a schema aside is made in PostgreSQL, filled and removed, and what is taken out of it. `<schema>` stands for the
-- quoted name of one, {saga_status.all} for a list of columns, which `stores/columns.py` writes out.

-- name: may_create
SELECT has_database_privilege(current_database(), 'CREATE'), pg_is_in_recovery(), current_user::text;

-- name: keep_session
-- The lock is one of the session, which has nothing else to say meanwhile.
SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('statement_timeout', 'idle_session_timeout');

-- name: lock
-- Whoever made a schema aside holds this for as long as it lives, so that nobody else takes the schema for one left behind.
SELECT pg_try_advisory_lock(hashtextextended($1, 0));

-- name: unlock
SELECT pg_advisory_unlock(hashtextextended($1, 0));

-- name: left_behind
SELECT nspname::text FROM pg_namespace
WHERE nspname LIKE 'saga\_aside\_%' AND pg_get_userbyid(nspowner) = current_user
ORDER BY nspname;

-- name: create
CREATE SCHEMA <schema>;

-- name: drop
DROP SCHEMA IF EXISTS <schema> CASCADE;

-- name: copy_events
COPY saga_events (notification_id, originator_id, originator_version, topic, state) FROM STDIN;

-- name: begin_sagas
COPY saga_status ({saga_status.all}) FROM STDIN;

-- name: take_out
-- A view says of saga_unmatched what it says without one, so the table stays, by another name; columns as well, for an
-- index is over them. The planner knows nothing yet of tables that were just filled.
DROP TABLE saga_inbox;

DROP TABLE saga_consumers;

DROP TABLE saga_workers;

DROP TABLE saga_tracking;

DROP TABLE saga_jobs;

DROP TABLE saga_job_items;

ALTER TABLE saga_unmatched RENAME TO saga_not_known_messages;

ALTER TABLE saga_status RENAME COLUMN owner TO not_known_owner;

ALTER TABLE saga_commands RENAME COLUMN deliveries TO not_known_deliveries;

ANALYZE saga_events, saga_status, saga_steps, saga_messages, saga_commands, saga_attributes
