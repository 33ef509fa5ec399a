-- What `sagalog db` asks about those who read the log, the same text on SQLite and on PostgreSQL; and by what a database
-- knows that it has a migration, where {number} and {name} stand for it.

-- name: consumers
-- A followed application has a position in its own log, so how many of our messages are behind it says nothing.
SELECT
    consumer,
    position,
    CASE WHEN substr(consumer, 1, 7) = 'follow:' THEN NULL
    ELSE (SELECT count(*) FROM saga_messages WHERE saga_messages.position > saga_consumers.position) END AS lag,
    owner,
    updated_at
FROM saga_consumers
ORDER BY consumer;

-- name: recorded_sqlite
INSERT INTO saga_schema (number, name, applied_at) VALUES ({number}, '{name}', unixepoch() * 1000000);

-- name: recorded_postgres
INSERT INTO saga_schema (number, name, applied_at) VALUES ({number}, '{name}', extract(epoch FROM now()) * 1000000);
