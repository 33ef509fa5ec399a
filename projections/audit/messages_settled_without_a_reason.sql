-- A person redelivered or discarded a message that nobody could take, and did not say who they are, or why.
-- A row is a decision that nobody can answer for. It is no event of the log, so this is known only as it is now. What
-- the library set aside and routed later by itself was nobody's decision; it has no `settled_at`.
-- needs: saga_unmatched 1

SELECT u.message_id, u.name, u.consumer, u.status, u.actor, u.settled_reason
FROM saga_unmatched AS u
WHERE u.status <> 'parked'
  AND u.settled_at IS NOT NULL
  AND (COALESCE(TRIM(u.actor), '') = '' OR COALESCE(TRIM(u.settled_reason), '') = '')
ORDER BY u.settled_at, u.unmatched_id
