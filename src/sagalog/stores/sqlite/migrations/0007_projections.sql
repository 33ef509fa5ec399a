-- Projections on SQLite: how far each has read the log, and the events that are not in its tables yet.
-- Columns are a contract, documented in docs/reference/sql.md and the same on PostgreSQL. Times are microseconds since the epoch.
-- A database that holds projections of another one gets these two tables alone.

CREATE TABLE IF NOT EXISTS saga_projections (
    projection TEXT NOT NULL,
    -- each is a set of tables of its own
    generation INTEGER NOT NULL,
    version INTEGER NOT NULL,
    -- of the SQL that made the tables
    digest TEXT NOT NULL,
    -- 'live', 'building', 'old', 'aside' or 'removed'
    status TEXT NOT NULL,
    -- a JSON list of the kind and the name of what was made
    made TEXT NOT NULL,
    begins_after INTEGER NOT NULL,
    -- up to where it has read the log
    position INTEGER NOT NULL,
    -- the time of the event at that position
    reflects INTEGER,
    events INTEGER NOT NULL,
    -- the end of the log when it was last read
    head INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    switched_at INTEGER,
    paused_at INTEGER,
    paused_by TEXT,
    paused_reason TEXT,
    -- where it stopped, and why
    failed_position INTEGER,
    failures INTEGER NOT NULL,
    failed_at INTEGER,
    error_type TEXT,
    error_text TEXT,
    PRIMARY KEY (projection, generation)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS saga_projection_events (
    projection TEXT NOT NULL,
    generation INTEGER NOT NULL,
    position INTEGER NOT NULL,
    -- events of one lane wait behind each other
    lane TEXT NOT NULL,
    event TEXT NOT NULL,
    saga_id TEXT,
    -- 'retrying', 'parked' or 'waiting'
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    error_type TEXT,
    error_text TEXT,
    parked_at INTEGER NOT NULL,
    PRIMARY KEY (projection, generation, position)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS saga_projection_events_lane ON saga_projection_events (projection, generation, lane, position);

-- What SQL of users may be written for; a database that only holds projections has no such table.
INSERT INTO saga_contract (name, version) VALUES ('saga_projections', 1), ('saga_projection_events', 1);
