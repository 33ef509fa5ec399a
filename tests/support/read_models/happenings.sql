-- All that a projection is told, and for each cause a chain that comes out otherwise if anything is told twice, not at
-- all, or in another order.

CREATE TABLE {happenings} (
    position BIGINT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    fields TEXT NOT NULL,
    time BIGINT NOT NULL,
    correlation_id TEXT NOT NULL,
    causation_id TEXT,
    saga TEXT,
    saga_id TEXT,
    saga_key TEXT,
    run BIGINT
);

CREATE TABLE {chains} (
    correlation_id TEXT NOT NULL PRIMARY KEY,
    events BIGINT NOT NULL,
    digest TEXT NOT NULL
);

-- name: tell
INSERT INTO {happenings} (
    position, id, kind, fields, time, correlation_id, causation_id, saga, saga_id, saga_key, run
) VALUES (
    :position, :id, :kind, :fields, :time, :correlation_id, :causation_id, :saga, :saga_id, :key, :run
);

-- name: last_of
SELECT digest FROM {chains} WHERE correlation_id = :correlation_id;

-- name: chain
INSERT INTO {chains} (correlation_id, events, digest) VALUES (:correlation_id, 1, :digest)
ON CONFLICT (correlation_id) DO UPDATE SET events = {chains}.events + 1, digest = excluded.digest;
