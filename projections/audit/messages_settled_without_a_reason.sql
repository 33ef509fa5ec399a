-- A person redelivered or discarded a message that nobody could take, and did not say who they are, or why.
-- A row is a decision that nobody can answer for. It is no event of the log, so this is known only as it is now.
-- needs: saga_unmatched 1

SELECT u.message_id, u.name, u.consumer, u.status, u.actor, u.settled_reason
FROM saga_unmatched AS u
WHERE u.status <> 'parked'
  AND (COALESCE(TRIM(u.actor), '') = '' OR COALESCE(TRIM(u.settled_reason), '') = '')
ORDER BY u.settled_at, u.unmatched_id
