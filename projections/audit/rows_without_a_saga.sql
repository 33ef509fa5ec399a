-- A table of the shop has a row of a saga that there is not.
-- A row is something that a person wrote by hand, or a table of another database: `sagalog projections verify` says what the
-- log gives. The tables are never ahead of the log, so that a saga which is just starting is no row.
-- needs: saga_status 1, projection order-desk 1, projection customers 1, projection money 1, projection open-sagas 1

SELECT rows_there.found_in, rows_there.saga_id, rows_there.order_id
FROM (
    SELECT 'order_desk' AS found_in, saga_id, order_id FROM order_desk
    UNION ALL
    SELECT 'customer_orders', saga_id, order_id FROM customer_orders
    UNION ALL
    SELECT DISTINCT 'money_movements', saga_id, CAST(NULL AS TEXT) FROM money_movements
    UNION ALL
    SELECT 'open_sagas', saga_id, saga_key FROM open_sagas
) AS rows_there
WHERE NOT EXISTS (SELECT 1 FROM saga_status AS s WHERE s.saga_id = rows_there.saga_id)
ORDER BY rows_there.found_in, rows_there.saga_id
