-- The schema of a recorded database: the migrations of that time, one behind the other, as an empty database needs them.
-- Their comments are theirs. Nothing here may change.

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

-- How far other event logs have been followed, as the `eventsourcing` recorders know it; 0003 is about its name.
CREATE TABLE saga_tracking (
    application_name TEXT,
    notification_id INTEGER,
    PRIMARY KEY (application_name)
) WITHOUT ROWID;

INSERT INTO saga_tracking VALUES ('__migration__', 1);

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

-- Messages on SQLite: an index of those in the log, the commands of sagas, and who is still to take what.
-- Columns are a contract, documented in docs/reference/sql.md and the same on PostgreSQL. Times are microseconds since the epoch.

-- One row for each position of the log that is a message. The log holds its data; a command that is sent again has a
-- row for each time.
CREATE TABLE saga_messages (
    position INTEGER NOT NULL PRIMARY KEY,
    message_id TEXT NOT NULL,
    -- 'event' or 'command'
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    source TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    causation_id TEXT,
    time INTEGER NOT NULL,
    -- the saga and the step that issued a command
    saga_id TEXT,
    step TEXT
);

CREATE INDEX saga_messages_id ON saga_messages (message_id);

CREATE INDEX saga_messages_correlation ON saga_messages (correlation_id);

CREATE TABLE saga_commands (
    command_id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    saga_id TEXT NOT NULL,
    step TEXT NOT NULL,
    -- 'action' or 'compensation'
    direction TEXT NOT NULL,
    -- 'sent', 'succeeded', 'refused' or 'unanswered'
    status TEXT NOT NULL,
    -- how often the saga sent it
    sendings INTEGER NOT NULL,
    -- how often it was handed to somebody
    deliveries INTEGER NOT NULL,
    correlation_id TEXT NOT NULL,
    causation_id TEXT,
    issued_at INTEGER NOT NULL,
    answered_at INTEGER,
    position INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX saga_commands_saga ON saga_commands (saga_id);

-- Only what has not been taken yet.
CREATE TABLE saga_inbox (
    -- a saga id, or the name of a consumer
    recipient TEXT NOT NULL,
    message_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    -- rows of one lane are taken in the order of positions
    lane TEXT NOT NULL,
    name TEXT NOT NULL,
    -- 'pending' or 'parked'
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    error_type TEXT,
    error_text TEXT,
    arrived_at INTEGER NOT NULL,
    -- the envelope of a note from one saga to another, which is no message of the log
    body TEXT,
    PRIMARY KEY (recipient, message_id)
) WITHOUT ROWID;

-- The lane comes first, so that nobody looks for a message of a recipient here instead of by the key.
CREATE INDEX saga_inbox_lane ON saga_inbox (lane, recipient, position, message_id);

-- Holds all that the search for what can be handled looks at.
CREATE INDEX saga_inbox_due ON saga_inbox (recipient, position, message_id, due_at, lane) WHERE status = 'pending';

-- The mail of sagas, which is looked for without knowing which sagas have any: not behind what waits for participants.
CREATE INDEX saga_inbox_sagas ON saga_inbox (position, recipient) WHERE substr(recipient, 1, 12) <> 'participant:';

CREATE TABLE saga_consumers (
    consumer TEXT NOT NULL PRIMARY KEY,
    -- up to where the consumer has read the log
    position INTEGER NOT NULL,
    -- the worker that reads for it
    owner TEXT,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE saga_unmatched (
    unmatched_id TEXT NOT NULL PRIMARY KEY,
    -- who was to take it
    consumer TEXT NOT NULL,
    message_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    source TEXT NOT NULL,
    reason TEXT NOT NULL,
    correlation_id TEXT,
    causation_id TEXT,
    -- where the message stands in the log, if it does
    position INTEGER,
    -- the envelope as JSON, or the text that could not be read as one
    message TEXT NOT NULL,
    parked_at INTEGER NOT NULL,
    -- 'parked', 'redelivering', 'redelivered' or 'discarded'
    status TEXT NOT NULL,
    actor TEXT,
    settled_reason TEXT,
    settled_at INTEGER
) WITHOUT ROWID;

CREATE UNIQUE INDEX saga_unmatched_message ON saga_unmatched (consumer, message_id);

CREATE INDEX saga_unmatched_status ON saga_unmatched (status, unmatched_id);

CREATE INDEX saga_status_correlation ON saga_status (correlation_id);

-- The recorders' table gets our prefix on SQLite: the name `tracking` belongs to those with whom the file is shared.
-- 0001 has made it so since; only a database that is older lacks saga_tracking, and there `tracking` is the one that we made.

-- How long each lease is, in microseconds: whoever sees one unchanged for longer by a clock that nobody can set knows that
-- its worker is dead, whatever time the worker's own clock has written. NULL if an older version has begun it.
ALTER TABLE saga_workers ADD COLUMN lease_length INTEGER;
