-- A saga waits for a person, but does not say why.
-- A row is a person who cannot act: read `sagalog history` for what happened last.

SELECT s.saga_id, s.saga_name, s.saga_key, s.current_step, s.updated_at
FROM saga_status AS s
WHERE s.status = 'stuck'
  AND (s.error_text IS NULL OR s.error_text = '')
ORDER BY s.saga_id
