-- Projections on PostgreSQL: how far each has read the log, and the events that are not in its tables yet.
-- Columns are a contract, documented in docs/reference/sql.md and the same on SQLite. Times are microseconds since the epoch.
-- A database that holds projections of another one gets these two tables alone.

CREATE TABLE IF NOT EXISTS saga_projections (
    projection text COLLATE "C" NOT NULL,
    -- each is a set of tables of its own
    generation bigint NOT NULL,
    version bigint NOT NULL,
    -- of the SQL that made the tables
    digest text NOT NULL,
    -- 'live', 'building', 'old', 'aside' or 'removed'
    status text NOT NULL,
    -- a JSON list of the kind and the name of what was made
    made text NOT NULL,
    begins_after bigint NOT NULL,
    -- up to where it has read the log
    position bigint NOT NULL,
    -- the time of the event at that position
    reflects bigint,
    events bigint NOT NULL,
    -- the end of the log when it was last read
    head bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    switched_at bigint,
    paused_at bigint,
    paused_by text,
    paused_reason text,
    -- where it stopped, and why
    failed_position bigint,
    failures bigint NOT NULL,
    failed_at bigint,
    error_type text,
    error_text text,
    PRIMARY KEY (projection, generation)
);

CREATE TABLE IF NOT EXISTS saga_projection_events (
    projection text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    position bigint NOT NULL,
    -- events of one lane wait behind each other
    lane text COLLATE "C" NOT NULL,
    event text NOT NULL,
    saga_id text COLLATE "C",
    -- 'retrying', 'parked' or 'waiting'
    status text NOT NULL,
    attempts bigint NOT NULL,
    due_at bigint NOT NULL,
    error_type text,
    error_text text,
    parked_at bigint NOT NULL,
    PRIMARY KEY (projection, generation, position)
);

CREATE INDEX IF NOT EXISTS saga_projection_events_lane ON saga_projection_events (projection, generation, lane, position);

-- What SQL of users may be written for; a database that only holds projections has no such table.
INSERT INTO saga_contract (name, version) VALUES ('saga_projections', 1), ('saga_projection_events', 1);
