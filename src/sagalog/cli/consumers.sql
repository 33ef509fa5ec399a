-- What `sagalog db` asks about those who read the log; the same text on SQLite and on PostgreSQL.

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
