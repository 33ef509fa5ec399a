-- A saga has not ended and waits for no person, yet no worker owns it and none will ever look at it:
-- nothing is in its inbox, and neither an event nor a saga that is a step of it is still to come.
-- A row is a lost timer, which the library must never let happen: keep a `sagalog export` of the saga
-- and of what `sagalog check` says, and report it.

SELECT s.saga_id, s.saga_name, s.saga_key, s.status, s.current_step, s.updated_at
FROM saga_status AS s
WHERE s.status NOT IN ('completed', 'failed', 'stuck')
  AND s.due_at IS NULL
  AND s.owner IS NULL
  AND SUBSTR(COALESCE(s.waiting_for, ''), 1, 5) <> 'event'
  AND NOT EXISTS (SELECT 1 FROM saga_inbox AS i WHERE i.recipient = s.saga_id)
  AND NOT EXISTS (
      SELECT 1 FROM saga_status AS child
      WHERE child.causation_id = s.saga_id AND child.status NOT IN ('completed', 'failed'))
ORDER BY s.saga_id
