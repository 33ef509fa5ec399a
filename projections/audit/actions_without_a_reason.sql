-- A person changed the course of a saga and did not say who they are, or why.
-- A row is a decision that nobody can answer for: ask who was on duty, and let the reason be given from now on.
-- needs: saga_actions 2

SELECT a.saga_id, a.saga_name, a.saga_key, a.position, a.verb, a.actor, a.reason
FROM saga_actions AS a
WHERE a.saga_id IS NOT NULL
  AND (COALESCE(TRIM(a.actor), '') = '' OR COALESCE(TRIM(a.reason), '') = '')
ORDER BY a.position
