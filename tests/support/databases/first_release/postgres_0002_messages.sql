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
