-- The money of the shop: every movement, what each day came to, and what was in transit at the end of it. Money is in
-- transit while its order is neither delivered nor undone.

CREATE TABLE {money_movements} (
    position BIGINT NOT NULL PRIMARY KEY,
    day TEXT NOT NULL,
    saga_id TEXT NOT NULL,
    -- 'captured', 'refunded' or 'earned'
    what TEXT NOT NULL,
    cents BIGINT NOT NULL,
    at BIGINT NOT NULL
);

CREATE INDEX {money_movements_saga} ON {money_movements} (saga_id);

CREATE VIEW {daily_money} AS
SELECT
    day,
    captured_cents,
    refunded_cents,
    earned_cents,
    CAST(sum(captured_cents - refunded_cents - earned_cents) OVER (ORDER BY day) AS BIGINT) AS in_transit_cents,
    position
FROM (
    SELECT
        day,
        CAST(sum(CASE WHEN what = 'captured' THEN cents ELSE 0 END) AS BIGINT) AS captured_cents,
        CAST(sum(CASE WHEN what = 'refunded' THEN cents ELSE 0 END) AS BIGINT) AS refunded_cents,
        CAST(sum(CASE WHEN what = 'earned' THEN cents ELSE 0 END) AS BIGINT) AS earned_cents,
        max(position) AS position
    FROM {money_movements}
    GROUP BY day
) AS days;

-- name: move
INSERT INTO {money_movements} (position, day, saga_id, what, cents, at)
VALUES (:position, :day, :saga_id, :what, :cents, :at);

-- name: balance
SELECT CAST(coalesce(sum(CASE WHEN what = 'captured' THEN cents ELSE -cents END), 0) AS BIGINT)
FROM {money_movements} WHERE saga_id = :saga_id;

-- name: forget
DELETE FROM {money_movements} WHERE saga_id = :saga_id;
