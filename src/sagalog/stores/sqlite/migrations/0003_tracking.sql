-- The recorders' table gets our prefix on SQLite: the name `tracking` belongs to those with whom the file is shared.
-- 0001 has made it so since; only a database that is older lacks saga_tracking, and there `tracking` is the one that we made.

-- only in an older database: SELECT NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'saga_tracking')
CREATE TABLE saga_tracking (
    application_name TEXT,
    notification_id INTEGER,
    PRIMARY KEY (application_name)
) WITHOUT ROWID;

INSERT INTO saga_tracking SELECT application_name, notification_id FROM tracking;

-- An application of `eventsourcing` in this file has used the same table, and would begin anew without what it wrote there.

-- only in an older database: SELECT NOT EXISTS (SELECT 1 FROM tracking WHERE application_name <> '__migration__')
DROP TABLE tracking;
