-- What `sagalog demo` shows of the tables; `:key` is replaced by the key of the saga that it tells of.
-- The same queries run on SQLite and on PostgreSQL.

-- name: steps
SELECT p.step, p.direction, p.status, p.attempts,
       (p.ended_at - p.started_at) / 1000 AS ms, p.error_type
FROM saga_status AS s
JOIN saga_steps AS p ON p.saga_id = s.saga_id
WHERE s.saga_key = :key
ORDER BY p.started_at, p.direction;
