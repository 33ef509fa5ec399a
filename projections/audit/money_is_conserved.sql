-- At some position of the log more money was given back and earned than was captured, by one saga or by all; or a saga has
-- ended, and some of its money is in transit still. A movement of nothing, or of less, is one of these too.
-- A row is money that came from nowhere or is nowhere: compare the order with the payments' ledger, and the table with
-- `sagalog projections verify money`.
-- needs: saga_status 1, saga_projections 1, saga_projection_events 1, projection money 1

WITH summed AS (
    SELECT
        saga_id,
        position,
        cents,
        SUM(CASE WHEN what = 'captured' THEN cents ELSE -cents END) OVER (PARTITION BY saga_id ORDER BY position) AS of_saga,
        SUM(CASE WHEN what = 'captured' THEN cents ELSE -cents END) OVER (ORDER BY position) AS of_all
    FROM money_movements
), ended AS (
    -- The table may be behind the log: only sagas whose end it has read, and no event of which is parked.
    SELECT s.saga_id, s.position
    FROM saga_status AS s
    JOIN saga_projections AS p ON p.projection = 'money' AND p.status = 'live'
    WHERE s.ended_at IS NOT NULL AND s.position <= p.position
      AND NOT EXISTS (
          SELECT 1 FROM saga_projection_events AS e
          WHERE e.projection = p.projection AND e.generation = p.generation AND e.saga_id = s.saga_id)
), wrong AS (
    SELECT saga_id, position, 'the saga gave back or earned more than it had' AS trouble, of_saga AS cents
    FROM summed WHERE of_saga < 0
    UNION ALL
    SELECT saga_id, position, 'less than nothing was in transit', of_all FROM summed WHERE of_all < 0
    UNION ALL
    SELECT saga_id, position, 'a movement of nothing, or of less', cents FROM summed WHERE cents <= 0
    UNION ALL
    SELECT ended.saga_id, MAX(ended.position), 'the saga has ended, and its money is in transit',
        SUM(CASE WHEN m.what = 'captured' THEN m.cents ELSE -m.cents END)
    FROM ended JOIN money_movements AS m ON m.saga_id = ended.saga_id
    GROUP BY ended.saga_id
    HAVING SUM(CASE WHEN m.what = 'captured' THEN m.cents ELSE -m.cents END) <> 0
)
SELECT wrong.saga_id, s.saga_key, wrong.position, wrong.trouble, CAST(wrong.cents AS BIGINT) AS cents
FROM wrong LEFT JOIN saga_status AS s ON s.saga_id = wrong.saga_id
ORDER BY wrong.position, wrong.saga_id, wrong.trouble
