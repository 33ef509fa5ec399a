-- The same sagas as in search_sqlite.sql, made by PostgreSQL.

-- name: sagas
INSERT INTO saga_status
SELECT
    substr(made, 1, 8) || '-' || substr(made, 9) || '-7000-8000-' || lpad(to_hex(n), 12, '0'),
    CASE WHEN n %% (%(number)s / 10) = 7 THEN 'rare' WHEN n %% 10 = 3 THEN 'returns' ELSE 'orders' END,
    1, 'digest', 'key-' || n, 1,
    CASE
        WHEN n %% (%(number)s / 10) = 11 THEN 'stuck' WHEN n / 7 %% 50 = 1 THEN 'failed' WHEN n %% 1000 = 5 THEN 'pending'
        ELSE 'completed'
    END,
    NULL, NULL, NULL, 0,
    CASE WHEN n %% (%(number)s / 10) = 11 THEN 'Timeout' WHEN n / 7 %% 50 = 1 THEN 'CardDeclined' END,
    CASE WHEN n %% (%(number)s / 10) = 11 THEN 'no answer' WHEN n / 7 %% 50 = 1 THEN 'no cover for order ' || n END,
    'correlation-' || n, NULL, at, at,
    CASE WHEN n %% (%(number)s / 10) = 11 OR n %% 1000 = 5 THEN NULL ELSE at END,
    NULL, CASE WHEN n %% 1000 = 5 THEN at END, 5, n, NULL
FROM generate_series(1, %(number)s) AS saga (n)
CROSS JOIN LATERAL (
    SELECT
        (%(newest)s - (%(number)s - n) * 1000) * 1000 AS at,
        lpad(to_hex(%(newest)s - (%(number)s - n) * 1000), 12, '0') AS made
) AS times;

-- name: customers
INSERT INTO saga_attributes
SELECT saga_id, 'customer', 'c-' || position * 7919 %% (%(number)s / 100), NULL, position FROM saga_status;

-- name: countries
INSERT INTO saga_attributes
SELECT saga_id, 'country', CASE WHEN position * 7 %% 10 < 6 THEN 'DE' ELSE 'FR' END, NULL, position FROM saga_status;

-- name: amounts
INSERT INTO saga_attributes
SELECT saga_id, 'amount', (position * 7919 %% %(number)s)::text, position * 7919 %% %(number)s, position FROM saga_status;

-- name: days
INSERT INTO saga_attributes
SELECT saga_id, 'day', (to_timestamp(started_at / 1000000) AT TIME ZONE 'UTC')::date::text, NULL, position
FROM saga_status;

-- name: campaigns
INSERT INTO saga_attributes
SELECT saga_id, 'campaign', 'spring', NULL, position FROM saga_status
WHERE position IN (%(number)s / 3, %(number)s / 2);

-- name: settle
VACUUM ANALYZE;
