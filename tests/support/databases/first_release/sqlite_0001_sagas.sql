-- The first schema on SQLite: the event log, the read model that is written with it, and the workers' leases.
-- Columns are a contract, documented in docs/reference/sql.md and the same on PostgreSQL. Times are microseconds since the epoch.

CREATE TABLE saga_schema (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    applied_at INTEGER NOT NULL
);

-- The log, as the `eventsourcing` recorders know it. The implicit rowid is the position: rows are never deleted.
CREATE TABLE saga_events (
    originator_id TEXT,
    originator_version INTEGER,
    topic TEXT,
    state BLOB,
    PRIMARY KEY (originator_id, originator_version)
);

-- How far other event logs have been followed, as the `eventsourcing` recorders know it.
CREATE TABLE tracking (
    application_name TEXT,
    notification_id INTEGER,
    PRIMARY KEY (application_name)
) WITHOUT ROWID;

INSERT INTO tracking VALUES ('__migration__', 1);

CREATE TABLE saga_status (
    saga_id TEXT NOT NULL PRIMARY KEY,
    saga_name TEXT NOT NULL,
    saga_version INTEGER NOT NULL,
    -- the digest of the definition: a worker claims only sagas whose definition it has
    definition TEXT NOT NULL,
    saga_key TEXT NOT NULL,
    run INTEGER NOT NULL,
    status TEXT NOT NULL,
    current_step TEXT,
    waiting_for TEXT,
    waiting_until INTEGER,
    attempt INTEGER NOT NULL,
    error_type TEXT,
    error_text TEXT,
    correlation_id TEXT NOT NULL,
    causation_id TEXT,
    started_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    ended_at INTEGER,
    deadline_at INTEGER,
    -- when a worker has to look at the saga; NULL when it has ended or is stuck
    due_at INTEGER,
    -- the number of events in the saga's stream
    version INTEGER NOT NULL,
    -- the position in the log that this row reflects
    position INTEGER NOT NULL,
    -- the worker that owns the saga
    owner TEXT
) WITHOUT ROWID;

-- The key comes first, so that one index makes starts unique and finds a key without its saga's name.
CREATE UNIQUE INDEX saga_status_key ON saga_status (saga_key, saga_name, run);

-- These hold only sagas that are not at rest, so that they stay small however many have ended.
CREATE INDEX saga_status_due ON saga_status (due_at) WHERE owner IS NULL AND due_at IS NOT NULL;

CREATE INDEX saga_status_owner ON saga_status (owner) WHERE owner IS NOT NULL;

-- Few sagas have an error, and they are what is looked for among all that have ended.
CREATE INDEX saga_status_error ON saga_status (saga_id) WHERE error_type IS NOT NULL;

CREATE TABLE saga_steps (
    saga_id TEXT NOT NULL,
    step TEXT NOT NULL,
    -- 'action' or 'compensation'
    direction TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    error_type TEXT,
    error_text TEXT,
    -- the step whose action a compensation undoes
    undoes TEXT,
    -- what the action returned, as JSON
    result TEXT,
    position INTEGER NOT NULL,
    PRIMARY KEY (saga_id, step, direction)
) WITHOUT ROWID;

CREATE TABLE saga_workers (
    worker_id TEXT NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    lease_until INTEGER NOT NULL
) WITHOUT ROWID;

-- The log as text: one row an event, its type without prefix and version, its data as JSON.
CREATE VIEW saga_history AS
SELECT
    rowid AS position,
    originator_id AS saga_id,
    originator_version AS version,
    CAST(state AS TEXT) ->> '$.time' AS time,
    substr(topic, 9, length(topic) - 10) AS type,
    CAST(state AS TEXT) AS data
FROM saga_events;
