-- The schema of a recorded database: the migrations of that time, one behind the other, as an empty database needs them.
-- Their comments are theirs. Nothing here may change.

-- The first schema on PostgreSQL: the event log, the read model that is written with it, and the workers' leases.
-- Columns are a contract, documented in docs/reference/sql.md and the same on SQLite. Times are microseconds since the epoch.
-- Ids and keys sort by bytes (COLLATE "C"): the order of time for ids, the same on every server, and cheap to compare.

CREATE TABLE saga_schema (
    number bigint NOT NULL PRIMARY KEY,
    name text NOT NULL,
    applied_at bigint NOT NULL
);

-- The log, as the `eventsourcing` recorders know it. notification_id is the position: rows are never deleted.
CREATE TABLE saga_events (
    originator_id text COLLATE "C" NOT NULL,
    originator_version bigint NOT NULL,
    topic text,
    state bytea,
    notification_id bigserial,
    PRIMARY KEY (originator_id, originator_version)
);

CREATE UNIQUE INDEX saga_events_notification_id_idx ON saga_events (notification_id);

-- How far other event logs have been followed, as the `eventsourcing` recorders know it; 0003 is about its name.
CREATE TABLE saga_tracking (
    application_name text NOT NULL PRIMARY KEY,
    notification_id bigint
);

INSERT INTO saga_tracking VALUES ('__migration__', 1);

-- Half of each page is left free: while a saga runs, its row is then updated in place (HOT), without touching an index,
-- even when one transaction updates every row of a page. No indexed column changes between the start and the end of a
-- saga that succeeds.
CREATE TABLE saga_status (
    saga_id text COLLATE "C" NOT NULL PRIMARY KEY,
    saga_name text NOT NULL,
    saga_version bigint NOT NULL,
    -- the digest of the definition: a worker claims only sagas whose definition it has
    definition text COLLATE "C" NOT NULL,
    saga_key text COLLATE "C" NOT NULL,
    run bigint NOT NULL,
    status text NOT NULL,
    current_step text,
    waiting_for text,
    waiting_until bigint,
    attempt bigint NOT NULL,
    error_type text,
    error_text text,
    correlation_id text NOT NULL,
    causation_id text,
    started_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    ended_at bigint,
    deadline_at bigint,
    -- when a worker has to look at the saga; NULL when it has ended or is stuck
    due_at bigint,
    -- the number of events in the saga's stream
    version bigint NOT NULL,
    -- the position in the log that this row reflects
    position bigint NOT NULL,
    -- the worker that owns the saga
    owner text COLLATE "C"
) WITH (
    fillfactor = 50,
    -- In rows, not in parts of the table: sagas that have ended must not put off the cleaning up after those that run.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 20000,
    autovacuum_analyze_scale_factor = 0.02
);

-- The key comes first, so that one index makes starts unique and finds a key without its saga's name.
CREATE UNIQUE INDEX saga_status_key ON saga_status (saga_key, saga_name, run);

-- These hold only sagas that are not at rest, so that they stay small however many have ended.
CREATE INDEX saga_status_due ON saga_status (definition, due_at) WHERE owner IS NULL AND due_at IS NOT NULL;

CREATE INDEX saga_status_owner ON saga_status (owner) WHERE owner IS NOT NULL;

CREATE INDEX saga_status_open ON saga_status (saga_id) WHERE ended_at IS NULL;

-- Few sagas have an error, and they are what is looked for among all that have ended.
CREATE INDEX saga_status_error ON saga_status (saga_id) WHERE error_type IS NOT NULL;

CREATE TABLE saga_steps (
    saga_id text COLLATE "C" NOT NULL,
    step text COLLATE "C" NOT NULL,
    -- 'action' or 'compensation'
    direction text COLLATE "C" NOT NULL,
    ordinal bigint NOT NULL,
    status text NOT NULL,
    attempts bigint NOT NULL,
    started_at bigint,
    ended_at bigint,
    error_type text,
    error_text text,
    -- the step whose action a compensation undoes
    undoes text,
    -- what the action returned
    result json,
    position bigint NOT NULL,
    PRIMARY KEY (saga_id, step, direction)
);

CREATE TABLE saga_workers (
    worker_id text COLLATE "C" NOT NULL PRIMARY KEY,
    host text NOT NULL,
    pid bigint NOT NULL,
    started_at bigint NOT NULL,
    lease_until bigint NOT NULL
);

-- The log as text: one row an event, its type without prefix and version, its data as JSON.
CREATE VIEW saga_history AS
SELECT
    notification_id AS position,
    originator_id AS saga_id,
    originator_version AS version,
    (convert_from(state, 'UTF8')::json ->> 'time')::bigint AS time,
    substr(topic, 9, length(topic) - 10) AS type,
    convert_from(state, 'UTF8')::json AS data
FROM saga_events;

-- Messages on PostgreSQL: an index of those in the log, the commands of sagas, and who is still to take what.
-- Columns are a contract, documented in docs/reference/sql.md and the same on SQLite. Times are microseconds since the epoch.

-- One row for each position of the log that is a message. The log holds its data; a command that is sent again has a
-- row for each time.
CREATE TABLE saga_messages (
    position bigint NOT NULL PRIMARY KEY,
    message_id text COLLATE "C" NOT NULL,
    -- 'event' or 'command'
    kind text NOT NULL,
    name text NOT NULL,
    source text NOT NULL,
    correlation_id text COLLATE "C" NOT NULL,
    causation_id text COLLATE "C",
    time bigint NOT NULL,
    -- the saga and the step that issued a command
    saga_id text COLLATE "C",
    step text COLLATE "C"
);

CREATE INDEX saga_messages_id ON saga_messages (message_id);

CREATE INDEX saga_messages_correlation ON saga_messages (correlation_id);

CREATE TABLE saga_commands (
    command_id text COLLATE "C" NOT NULL PRIMARY KEY,
    name text NOT NULL,
    saga_id text COLLATE "C" NOT NULL,
    step text COLLATE "C" NOT NULL,
    -- 'action' or 'compensation'
    direction text NOT NULL,
    -- 'sent', 'succeeded', 'refused' or 'unanswered'
    status text NOT NULL,
    -- how often the saga sent it
    sendings bigint NOT NULL,
    -- how often it was handed to somebody
    deliveries bigint NOT NULL,
    correlation_id text COLLATE "C" NOT NULL,
    causation_id text COLLATE "C",
    issued_at bigint NOT NULL,
    answered_at bigint,
    position bigint NOT NULL
);

CREATE INDEX saga_commands_saga ON saga_commands (saga_id);

-- Only what has not been taken yet.
CREATE TABLE saga_inbox (
    -- a saga id, or the name of a consumer
    recipient text COLLATE "C" NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    -- rows of one lane are taken in the order of positions
    lane text COLLATE "C" NOT NULL,
    name text NOT NULL,
    -- 'pending' or 'parked'
    status text NOT NULL,
    attempts bigint NOT NULL,
    due_at bigint NOT NULL,
    error_type text,
    error_text text,
    arrived_at bigint NOT NULL,
    -- the envelope of a note from one saga to another, which is no message of the log
    body text,
    PRIMARY KEY (recipient, message_id)
);

-- The lane comes first, so that nobody looks for a message of a recipient here instead of by the key.
CREATE INDEX saga_inbox_lane ON saga_inbox (lane, recipient, position, message_id);

-- Holds all that the search for what can be handled looks at.
CREATE INDEX saga_inbox_due ON saga_inbox (recipient, position, message_id, due_at, lane) WHERE status = 'pending';

-- The mail of sagas, which is looked for without knowing which sagas have any: not behind what waits for participants.
CREATE INDEX saga_inbox_sagas ON saga_inbox (position, recipient) WHERE substr(recipient, 1, 12) <> 'participant:';

CREATE TABLE saga_consumers (
    consumer text COLLATE "C" NOT NULL PRIMARY KEY,
    -- up to where the consumer has read the log
    position bigint NOT NULL,
    -- the worker that reads for it
    owner text COLLATE "C",
    updated_at bigint NOT NULL
);

CREATE TABLE saga_unmatched (
    unmatched_id text COLLATE "C" NOT NULL PRIMARY KEY,
    -- who was to take it
    consumer text COLLATE "C" NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    source text NOT NULL,
    reason text NOT NULL,
    correlation_id text COLLATE "C",
    causation_id text COLLATE "C",
    -- where the message stands in the log, if it does
    position bigint,
    -- the envelope as JSON, or the text that could not be read as one
    message text NOT NULL,
    parked_at bigint NOT NULL,
    -- 'parked', 'redelivering', 'redelivered' or 'discarded'
    status text NOT NULL,
    actor text,
    settled_reason text,
    settled_at bigint
);

CREATE UNIQUE INDEX saga_unmatched_message ON saga_unmatched (consumer, message_id);

CREATE INDEX saga_unmatched_status ON saga_unmatched (status, unmatched_id);

CREATE INDEX saga_status_correlation ON saga_status (correlation_id COLLATE "C");

-- The recorders' table gets our prefix on PostgreSQL: the name `tracking` belongs to those with whom the schema is shared.
-- 0001 has made it so since; only a database that is older lacks saga_tracking, and there `tracking` is the one that we made.

-- How long each lease is, in microseconds: whoever sees one unchanged for longer by a clock that nobody can set knows that
-- its worker is dead, whatever time the worker's own clock has written. NULL if an older version has begun it.
ALTER TABLE saga_workers ADD COLUMN lease_length bigint;
