-- The two saga tables that audits and read models query, as far as they read them, and hand-made rows.
-- The library's own schema is the contract; this one lets a violation be planted that it never makes.

-- name: create_status
CREATE TABLE saga_status (
    saga_id TEXT PRIMARY KEY,
    saga_name TEXT NOT NULL,
    saga_version INTEGER NOT NULL,
    definition TEXT NOT NULL,
    saga_key TEXT NOT NULL,
    run INTEGER NOT NULL,
    status TEXT NOT NULL,
    current_step TEXT,
    waiting_for TEXT,
    waiting_until BIGINT,
    attempt INTEGER,
    error_type TEXT,
    error_text TEXT,
    correlation_id TEXT,
    causation_id TEXT,
    started_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    ended_at BIGINT,
    deadline_at BIGINT,
    due_at BIGINT,
    version INTEGER NOT NULL,
    position BIGINT NOT NULL,
    owner TEXT
)

-- name: create_steps
CREATE TABLE saga_steps (
    saga_id TEXT NOT NULL,
    step TEXT NOT NULL,
    direction TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    error_type TEXT,
    error_text TEXT,
    undoes TEXT,
    result TEXT,
    position BIGINT NOT NULL,
    PRIMARY KEY (saga_id, step, direction)
)

-- name: create_inbox
CREATE TABLE saga_inbox (
    recipient TEXT NOT NULL,
    message_id TEXT NOT NULL,
    PRIMARY KEY (recipient, message_id)
)

-- name: insert_status
INSERT INTO saga_status (
    saga_id, saga_name, saga_version, definition, saga_key, run, status, current_step, waiting_for, error_text,
    waiting_until, causation_id, started_at, updated_at, ended_at, due_at, version, position, owner)
VALUES (
    :saga_id, 'order-fulfilment', 1, 'digest', :saga_key, 1, :status, :current_step, :waiting_for, :error_text,
    :waiting_until, :causation_id, 1, 2, :ended_at, :due_at, 5, 5, :owner)

-- name: insert_inbox
INSERT INTO saga_inbox (recipient, message_id) VALUES (:recipient, 'message-1')

-- name: insert_step
INSERT INTO saga_steps (
    saga_id, step, direction, ordinal, status, attempts, started_at, ended_at, undoes, result, position)
VALUES (
    :saga_id, :step, :direction, :ordinal, :status, 1, 1, 2, :undoes, :result, 5)
