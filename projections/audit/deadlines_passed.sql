-- An open saga should have been looked at more than five minutes ago: its deadline is past, or the time that its step was
-- given, or the time of the next attempt, and nothing was recorded. `:now` is the time of the question, in microseconds.
-- A row is a saga that nobody looks after: see whether workers run that have its definition, and what holds them up.
-- needs: saga_status 1

SELECT s.saga_id, s.saga_name, s.saga_key, s.status, s.current_step, s.waiting_for, s.waiting_until,
       (:now - s.waiting_until) / 1000000 AS seconds_late
FROM saga_status AS s
WHERE s.status IN ('started', 'pending', 'compensating')
  AND s.waiting_until < :now - 300000000
ORDER BY s.waiting_until, s.saga_id
