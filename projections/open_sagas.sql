-- Sagas of any kind that have not ended, with what they did last: ordered by `started_at` they are ordered by age.

CREATE TABLE {open_sagas} (
    saga_id TEXT NOT NULL PRIMARY KEY,
    saga TEXT NOT NULL,
    saga_key TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    -- 'forward', 'backward' or 'stuck'
    direction TEXT NOT NULL,
    last_event TEXT NOT NULL,
    last_step TEXT,
    changed_at BIGINT NOT NULL,
    position BIGINT NOT NULL
);

CREATE INDEX {open_sagas_age} ON {open_sagas} (started_at);

-- name: start
INSERT INTO {open_sagas} (saga_id, saga, saga_key, started_at, direction, last_event, changed_at, position)
VALUES (:saga_id, :saga, :key, :at, 'forward', :event, :at, :position);

-- name: move
UPDATE {open_sagas}
SET direction = coalesce(:direction, direction), last_event = :event, last_step = coalesce(:step, last_step),
    changed_at = :at, position = :position
WHERE saga_id = :saga_id;

-- name: end
DELETE FROM {open_sagas} WHERE saga_id = :saga_id;

-- name: forget
DELETE FROM {open_sagas} WHERE saga_id = :saga_id;
