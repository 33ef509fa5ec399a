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
