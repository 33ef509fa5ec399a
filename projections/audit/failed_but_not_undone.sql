-- A saga ended as failed, but a step that had an effect, or may have had one, is not undone.
-- Only a refused or skipped step needs no compensation; 'waived' is written for a step that was
-- declared with compensation=None. A row is an effect left behind: undo it by hand and report the
-- saga with `sagalog export`, for the library must never let this happen.

SELECT s.saga_id, s.saga_name, s.saga_key, a.step, a.status AS action_status,
       c.status AS compensation_status
FROM saga_status AS s
JOIN saga_steps AS a ON a.saga_id = s.saga_id AND a.direction = 'action'
LEFT JOIN saga_steps AS c
    ON c.saga_id = a.saga_id AND c.direction = 'compensation' AND c.undoes = a.step
WHERE s.status = 'failed'
  AND a.status NOT IN ('refused', 'skipped')
  AND (c.status IS NULL OR c.status NOT IN ('compensated', 'waived'))
ORDER BY s.saga_id, a.ordinal
