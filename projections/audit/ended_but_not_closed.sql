-- A saga has ended but its row says otherwise: it has no end time, or a worker is still to look at
-- it; or it has an end time and has not ended.
-- A row is a status table that disagrees with itself: compare it with `sagalog replay`.

SELECT s.saga_id, s.saga_name, s.saga_key, s.status, s.ended_at, s.due_at
FROM saga_status AS s
WHERE (s.status IN ('completed', 'failed') AND (s.ended_at IS NULL OR s.due_at IS NOT NULL))
   OR (s.status NOT IN ('completed', 'failed') AND s.ended_at IS NOT NULL)
ORDER BY s.saga_id
