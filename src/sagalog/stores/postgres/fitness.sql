-- What is asked of PostgreSQL when a store is opened, or to say what a role needs: is this a database for sagas, and may
-- this role work in it? Nothing is changed.

-- name: database
-- Whose session it is, where it makes tables (NULL: nowhere), where tables of ours are that it would take for its own,
-- and how texts are kept.
SELECT
    current_user::text,
    current_schema()::text,
    current_setting('search_path'),
    (SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass('saga_schema')),
    to_regclass(quote_ident(current_schema()) || '.saga_schema') IS NOT NULL,
    current_setting('server_encoding');

-- name: may_create
SELECT has_schema_privilege(current_schema(), 'CREATE');

-- name: lacking
-- Of the given privileges on tables and views that are there, those that the role has not. Where one names several, any
-- of them will do.
SELECT given.privilege, given.name
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS given (name, privilege, place)
WHERE has_table_privilege(to_regclass(given.name), given.privilege) IS FALSE
ORDER BY place;

-- name: lacking_sequences
SELECT given.privilege, given.name
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS given (name, privilege, place)
WHERE has_sequence_privilege(to_regclass(given.name), given.privilege) IS FALSE
ORDER BY place;

-- name: for_grants
-- Where our tables are, and whether everybody may connect to the database.
SELECT
    current_schema()::text,
    current_database()::text,
    has_database_privilege('public', current_database(), 'CONNECT'),
    current_setting('server_version_num')::bigint;
