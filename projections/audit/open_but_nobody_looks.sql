-- A saga has not ended and waits for no person, yet no worker owns it and none will ever look at it.
-- A row is a lost timer, which the library must never let happen: keep a `sagalog export` of the saga
-- and of what `sagalog check` says, and report it.

SELECT s.saga_id, s.saga_name, s.saga_key, s.status, s.current_step, s.updated_at
FROM saga_status AS s
WHERE s.status NOT IN ('completed', 'failed', 'stuck')
  AND s.due_at IS NULL
  AND s.owner IS NULL
ORDER BY s.saga_id
