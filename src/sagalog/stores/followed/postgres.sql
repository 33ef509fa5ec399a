-- What is asked of the PostgreSQL database of an application that is followed, besides its notifications.

-- name: unlocked_writers
-- The transactions that write to the table of events (%s) without the lock that makes the order of ids the order of
-- commits. Every INSERT takes RowExclusiveLock before it draws an id and keeps it until its transaction has ended.
SELECT virtualtransaction AS writer
FROM pg_catalog.pg_locks
WHERE locktype = 'relation' AND granted
    AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    AND relation = to_regclass(%s)
GROUP BY virtualtransaction
HAVING bool_or(mode = 'RowExclusiveLock') AND NOT bool_or(mode IN ('ExclusiveLock', 'AccessExclusiveLock'));
