-- The recorders' table gets our prefix on PostgreSQL: the name `tracking` belongs to those with whom the schema is shared.
-- 0001 has made it so since; only a database that is older lacks saga_tracking, and there `tracking` is the one that we made.

-- only in an older database: SELECT to_regclass(quote_ident(current_schema()) || '.saga_tracking') IS NULL
CREATE TABLE saga_tracking (
    application_name text NOT NULL PRIMARY KEY,
    notification_id bigint
);

INSERT INTO saga_tracking SELECT application_name, notification_id FROM tracking;

-- An application of `eventsourcing` in this schema has used the same table, and would begin anew without what it wrote
-- there; and what others have built on the table must not fail our upgrade.

-- only in an older database: SELECT NOT EXISTS (SELECT FROM tracking WHERE application_name <> '__migration__')
-- only in an older database: SELECT NOT EXISTS (SELECT FROM pg_depend WHERE refobjid = 'tracking'::regclass AND deptype = 'n')
DROP TABLE tracking;
