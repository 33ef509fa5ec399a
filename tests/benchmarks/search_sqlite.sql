-- Sagas made by the database itself: rows of saga_status and their attributes. They are numbered by age. One in ten is a
-- return, ten are of a name that no other has, two in a hundred have failed, one in a thousand runs, ten are stuck. A
-- customer has a hundred, six in ten are in DE, two belong to a campaign, and the day is that of the start.

-- name: sagas
INSERT INTO saga_status
WITH RECURSIVE saga (n, made) AS (
    SELECT 1, :newest - (:number - 1) * 1000
    UNION ALL
    SELECT n + 1, made + 1000 FROM saga WHERE n < :number
)
SELECT
    printf('%08x-%04x-7000-8000-%012x', made >> 16, made & 65535, n),
    CASE WHEN n % (:number / 10) = 7 THEN 'rare' WHEN n % 10 = 3 THEN 'returns' ELSE 'orders' END,
    1, 'digest', 'key-' || n, 1,
    CASE
        WHEN n % (:number / 10) = 11 THEN 'stuck' WHEN n / 7 % 50 = 1 THEN 'failed' WHEN n % 1000 = 5 THEN 'pending'
        ELSE 'completed'
    END,
    NULL, NULL, NULL, 0,
    CASE WHEN n % (:number / 10) = 11 THEN 'Timeout' WHEN n / 7 % 50 = 1 THEN 'CardDeclined' END,
    CASE WHEN n % (:number / 10) = 11 THEN 'no answer' WHEN n / 7 % 50 = 1 THEN 'no cover for order ' || n END,
    'correlation-' || n, NULL, made * 1000, made * 1000,
    CASE WHEN n % (:number / 10) = 11 OR n % 1000 = 5 THEN NULL ELSE made * 1000 END,
    NULL, CASE WHEN n % 1000 = 5 THEN made * 1000 END, 5, n, NULL
FROM saga;

-- name: customers
INSERT INTO saga_attributes
SELECT saga_id, 'customer', 'c-' || position * 7919 % (:number / 100), NULL, position FROM saga_status;

-- name: countries
INSERT INTO saga_attributes
SELECT saga_id, 'country', CASE WHEN position * 7 % 10 < 6 THEN 'DE' ELSE 'FR' END, NULL, position FROM saga_status;

-- name: amounts
INSERT INTO saga_attributes
SELECT saga_id, 'amount', position * 7919 % :number || '', position * 7919 % :number, position FROM saga_status;

-- name: days
INSERT INTO saga_attributes
SELECT saga_id, 'day', date(started_at / 1000000, 'unixepoch'), NULL, position FROM saga_status;

-- name: campaigns
INSERT INTO saga_attributes
SELECT saga_id, 'campaign', 'spring', NULL, position FROM saga_status WHERE position IN (:number / 3, :number / 2);
