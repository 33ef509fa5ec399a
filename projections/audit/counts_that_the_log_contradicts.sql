-- So many sagas have ended, are stuck or are open by the log, and another number by the status table.
-- A row is a table that was changed by hand, or a library that must not do this: `sagalog check` names the sagas, and
-- `sagalog projections rebuild sagalog` computes the table anew, with all workers stopped.
-- needs: saga_status 1, saga_history 1

WITH turned AS (
    SELECT saga_id, MAX(version) AS version
    FROM saga_history
    WHERE type IN ('SagaStarted', 'CompensationStarted', 'SagaStuck', 'SagaResumed', 'SagaCompleted', 'SagaFailed')
    GROUP BY saga_id
), told AS (
    SELECT status, COUNT(*) AS sagas
    FROM (
        SELECT CASE h.type WHEN 'SagaCompleted' THEN 'completed' WHEN 'SagaFailed' THEN 'failed'
            WHEN 'SagaStuck' THEN 'stuck' ELSE 'open' END AS status
        FROM turned JOIN saga_history AS h ON h.saga_id = turned.saga_id AND h.version = turned.version
    ) AS one
    GROUP BY status
), shown AS (
    SELECT status, COUNT(*) AS sagas
    FROM (
        SELECT CASE WHEN status IN ('completed', 'failed', 'stuck') THEN status ELSE 'open' END AS status FROM saga_status
    ) AS one
    GROUP BY status
)
SELECT kinds.status, COALESCE(told.sagas, 0) AS in_log, COALESCE(shown.sagas, 0) AS in_table
FROM (SELECT status FROM told UNION SELECT status FROM shown) AS kinds
LEFT JOIN told ON told.status = kinds.status
LEFT JOIN shown ON shown.status = kinds.status
WHERE COALESCE(told.sagas, 0) <> COALESCE(shown.sagas, 0)
ORDER BY kinds.status
