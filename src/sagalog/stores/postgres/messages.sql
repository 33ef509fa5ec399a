-- What the PostgreSQL store says about messages, inboxes and consumers, block by block. `$1` are parameters in the order
-- in which they are given; {message} and {row} stand for the blocks of that name. Whoever changes an inbox or adds a
-- message holds the lock of the log, so what a statement has looked at stays as it is until the commit. LATERAL and LIMIT
-- say what is looked through: tables that are empty one moment and full the next have no statistics to plan by.

-- name: attach
-- What appends have beside events and rows; follows the block `append` in its transaction. Only an append that passed
-- has its events written by this very transaction, so nothing is written twice after a lost acknowledgement. If a
-- message that was taken is not in the inbox (any more) the transaction must end: dividing by zero does that.
WITH taken AS MATERIALIZED (
    SELECT given.saga_id, given.message_id
    FROM unnest($1::text[], $2::bigint[], $3::text[]) AS given (saga_id, version, message_id)
    JOIN saga_events AS e ON e.originator_id = given.saga_id AND e.originator_version = given.version
        AND e.xmin = pg_current_xact_id()::xid
), gone AS (
    DELETE FROM saga_inbox USING taken
    WHERE saga_inbox.recipient = taken.saga_id AND saga_inbox.message_id = taken.message_id
    RETURNING 1
), indexed AS (
    INSERT INTO saga_messages (
        position, message_id, kind, name, source, correlation_id, causation_id, time, saga_id, step
    )
    SELECT
        e.notification_id, given.message_id, given.kind, given.name, given.source, given.correlation_id,
        given.causation_id, given.time, given.saga_id, given.step
    FROM unnest(
        $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
        $12::bigint[], $13::text[], $14::text[]
    ) AS given (stream, version, message_id, kind, name, source, correlation_id, causation_id, time, saga_id, step)
    JOIN saga_events AS e ON e.originator_id = given.stream AND e.originator_version = given.version
        AND e.xmin = pg_current_xact_id()::xid
), issued AS (
    INSERT INTO saga_commands (
        command_id, name, saga_id, step, direction, status, sendings, deliveries, correlation_id, causation_id,
        issued_at, answered_at, position
    )
    SELECT
        given.command_id, given.name, given.saga_id, given.step, given.direction, given.status, given.sendings, 0,
        given.correlation_id, given.causation_id, given.issued_at, given.answered_at, e.notification_id
    FROM unnest(
        $15::bigint[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::bigint[],
        $23::text[], $24::text[], $25::bigint[], $26::bigint[]
    ) AS given (
        version, command_id, name, saga_id, step, direction, status, sendings, correlation_id, causation_id, issued_at,
        answered_at
    )
    JOIN saga_events AS e ON e.originator_id = given.saga_id AND e.originator_version = given.version
        AND e.xmin = pg_current_xact_id()::xid
    -- How often a command was delivered is not the saga's to say.
    ON CONFLICT (command_id) DO UPDATE SET
        status = excluded.status, sendings = excluded.sendings, answered_at = excluded.answered_at,
        position = excluded.position
), noted AS (
    INSERT INTO saga_inbox (
        recipient, message_id, lane, name, arrived_at, due_at, status, attempts, position, body
    )
    SELECT
        given.recipient, given.message_id, given.recipient, given.name, given.time, given.time, 'pending', 0,
        e.notification_id, given.body
    FROM unnest($27::text[], $28::bigint[], $29::text[], $30::text[], $31::text[], $32::bigint[], $33::text[])
        AS given (saga_id, version, recipient, message_id, name, time, body)
    JOIN saga_events AS e ON e.originator_id = given.saga_id AND e.originator_version = given.version
        AND e.xmin = pg_current_xact_id()::xid
    ON CONFLICT DO NOTHING
)
SELECT 1 / (CASE WHEN (SELECT count(*) FROM gone) = (SELECT count(*) FROM taken) THEN 1 ELSE 0 END);

-- name: post
-- `needed` is one row for each row of an inbox that a posting takes (attempts NULL) or is to try again; a posting passes
-- if all that it needs is there. The answer is the postings that did not pass. No message, row or command may be in
-- two postings: within one statement nothing sees what the statement itself has written.
WITH needed AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::text[], $8::text[]
    ) AS needed (posting, recipient, message_id, attempts, status, due_at, error_type, error_text)
), missing AS MATERIALIZED (
    -- A worker that was not told yet that another took over must not undo what that one has tried.
    SELECT posting FROM needed
    WHERE NOT EXISTS (
        SELECT 1 FROM saga_inbox AS held
        WHERE held.recipient = needed.recipient AND held.message_id = needed.message_id
            AND (needed.attempts IS NULL OR held.attempts <= needed.attempts)
    )
), gone AS (
    DELETE FROM saga_inbox AS held USING needed
    WHERE held.recipient = needed.recipient AND held.message_id = needed.message_id AND needed.attempts IS NULL
        AND (needed.posting IN (SELECT posting FROM missing)) IS NOT TRUE
), retried AS (
    UPDATE saga_inbox AS held SET
        status = needed.status, attempts = needed.attempts, due_at = needed.due_at, error_type = needed.error_type,
        error_text = needed.error_text
    FROM needed
    WHERE held.recipient = needed.recipient AND held.message_id = needed.message_id AND needed.attempts IS NOT NULL
        AND (needed.posting IN (SELECT posting FROM missing)) IS NOT TRUE
), fresh AS MATERIALIZED (
    SELECT nextval('saga_events_notification_id_seq') AS position, given.*
    FROM (
        SELECT * FROM unnest(
            $9::bigint[], $10::text[], $11::bytea[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[],
            $17::text[], $18::bigint[], $19::text[], $20::text[]
        ) WITH ORDINALITY AS given (
            posting, stream, state, message_id, kind, name, source, correlation_id, causation_id, time, saga_id, step,
            ordinal
        )
        WHERE (given.posting IN (SELECT posting FROM missing)) IS NOT TRUE
            AND NOT EXISTS (SELECT 1 FROM saga_messages AS known WHERE known.message_id = given.message_id)
        ORDER BY ordinal
    ) AS given
), logged AS (
    INSERT INTO saga_events (originator_id, originator_version, topic, state, notification_id)
    SELECT stream, 1, $21::text, state, position FROM fresh
), indexed AS (
    INSERT INTO saga_messages (
        position, message_id, kind, name, source, correlation_id, causation_id, time, saga_id, step
    )
    SELECT position, message_id, kind, name, source, correlation_id, causation_id, time, saga_id, step FROM fresh
), parked AS (
    INSERT INTO saga_unmatched (
        unmatched_id, consumer, message_id, kind, name, source, reason, correlation_id, causation_id, position,
        message, parked_at, status, actor, settled_reason, settled_at
    )
    SELECT
        unmatched_id, consumer, message_id, kind, name, source, reason, correlation_id, causation_id, position,
        message, parked_at, status, actor, settled_reason, settled_at
    FROM unnest(
        $22::bigint[], $23::text[], $24::text[], $25::text[], $26::text[], $27::text[], $28::text[], $29::text[],
        $30::text[], $31::text[], $32::bigint[], $33::text[], $34::bigint[], $35::text[], $36::text[], $37::text[],
        $38::bigint[]
    ) AS given (
        posting, unmatched_id, consumer, message_id, kind, name, source, reason, correlation_id, causation_id,
        position, message, parked_at, status, actor, settled_reason, settled_at
    )
    WHERE (given.posting IN (SELECT posting FROM missing)) IS NOT TRUE
    ON CONFLICT (consumer, message_id) DO UPDATE SET
        kind = excluded.kind, name = excluded.name, source = excluded.source, reason = excluded.reason,
        correlation_id = excluded.correlation_id, causation_id = excluded.causation_id, position = excluded.position,
        message = excluded.message, parked_at = excluded.parked_at, status = excluded.status, actor = excluded.actor,
        settled_reason = excluded.settled_reason, settled_at = excluded.settled_at
), delivered AS (
    UPDATE saga_commands AS command SET deliveries = command.deliveries + given.times
    FROM unnest($39::bigint[], $40::text[], $41::bigint[]) AS given (posting, command_id, times)
    WHERE command.command_id = given.command_id
        AND (given.posting IN (SELECT posting FROM missing)) IS NOT TRUE
)
SELECT DISTINCT posting FROM missing;

-- name: put
INSERT INTO saga_inbox (
    recipient, message_id, lane, name, arrived_at, due_at, status, attempts, error_type, error_text, position
)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::bigint[], $9::text[],
    $10::text[], $11::bigint[]
)
ON CONFLICT DO NOTHING;

-- name: advance
UPDATE saga_consumers AS known SET position = given.position
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS given (consumer, worker_id, expected, position)
WHERE known.consumer = given.consumer AND known.owner = given.worker_id AND known.position = given.expected
RETURNING known.consumer;

-- name: redelivered
UPDATE saga_unmatched SET status = 'redelivered'
WHERE status = 'redelivering' AND unmatched_id = ANY ($1::text[])
RETURNING unmatched_id;

-- name: rewrite_command
INSERT INTO saga_commands (
    command_id, name, saga_id, step, direction, status, sendings, correlation_id, causation_id, issued_at, answered_at,
    deliveries, position
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, $12)
ON CONFLICT (command_id) DO UPDATE SET
    name = excluded.name, saga_id = excluded.saga_id, step = excluded.step, direction = excluded.direction,
    status = excluded.status, sendings = excluded.sendings, correlation_id = excluded.correlation_id,
    causation_id = excluded.causation_id, issued_at = excluded.issued_at, answered_at = excluded.answered_at,
    position = excluded.position;

-- name: forget_commands
DELETE FROM saga_commands WHERE saga_id = ANY ($1::text[]) AND NOT command_id = ANY ($2::text[]);

-- name: forget_messages
DELETE FROM saga_messages WHERE position > $1 AND position <= $2;

-- name: insert_message
INSERT INTO saga_messages (
    position, message_id, kind, name, source, correlation_id, causation_id, time, saga_id, step
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: takeable_consumers
-- How many there are that no live worker owns, or that are new.
SELECT count(*) FROM unnest($1::text[]) AS wanted (name) LEFT JOIN saga_consumers ON consumer = wanted.name
WHERE consumer IS NULL OR owner IS NULL
    OR (owner <> $2 AND NOT EXISTS (SELECT 1 FROM saga_workers WHERE worker_id = owner AND lease_until > $3));

-- name: insert_consumers
INSERT INTO saga_consumers (consumer, position, owner, updated_at)
SELECT name, CASE WHEN $2::boolean THEN (SELECT coalesce(max(notification_id), 0) FROM saga_events) ELSE 0 END, NULL, $3
FROM unnest($1::text[]) AS wanted (name)
ORDER BY name
ON CONFLICT DO NOTHING;

-- name: forget_their_readers
-- As forget_their_owners, of consumers.
DELETE FROM saga_workers WHERE worker_id IN (
    SELECT worker_id FROM saga_workers
    WHERE lease_until <= $1 AND worker_id = ANY (ARRAY(SELECT owner FROM saga_consumers WHERE consumer = ANY ($2::text[])))
    FOR UPDATE SKIP LOCKED
);

-- name: take_consumers
-- Follows forget_their_readers. Who is dead is looked up before any row is locked, as in free_some.
WITH dead AS MATERIALIZED (
    SELECT owner FROM saga_consumers
    WHERE owner <> $2 AND NOT EXISTS (SELECT 1 FROM saga_workers WHERE worker_id = saga_consumers.owner)
), free AS MATERIALIZED (
    SELECT consumer FROM saga_consumers
    WHERE consumer = ANY ($1::text[]) AND (owner IS NULL OR owner IN (SELECT owner FROM dead))
    ORDER BY consumer
    FOR UPDATE
)
UPDATE saga_consumers AS known SET owner = $2, updated_at = $3 FROM free WHERE known.consumer = free.consumer;

-- name: release_consumers
UPDATE saga_consumers AS known SET owner = NULL
FROM (
    SELECT consumer FROM saga_consumers WHERE owner = $1 AND consumer = ANY ($2::text[]) ORDER BY consumer FOR UPDATE
) AS given
WHERE known.consumer = given.consumer;

-- name: consumers
SELECT consumer, position, owner, updated_at FROM saga_consumers ORDER BY consumer;

-- name: message
m.position, m.message_id, m.kind, m.name, m.source, m.correlation_id, m.causation_id, m.time, m.saga_id, m.step, e.state

-- name: row
i.recipient, i.message_id, i.lane, i.name, i.arrived_at, i.due_at, i.status, i.attempts, i.error_type, i.error_text,
i.position, i.body

-- name: and_what_it_is_about
LEFT JOIN LATERAL (
    SELECT * FROM saga_messages WHERE position = i.position AND i.body IS NULL LIMIT 1
) AS m ON TRUE LEFT JOIN LATERAL (
    SELECT state FROM saga_events WHERE notification_id = m.position LIMIT 1
) AS e ON TRUE

-- name: command_columns
command_id, name, saga_id, step, direction, status, sendings, correlation_id, causation_id, issued_at, answered_at,
deliveries, position

-- name: unmatched_columns
unmatched_id, consumer, message_id, kind, name, source, reason, correlation_id, causation_id, position, message,
parked_at, status, actor, settled_reason, settled_at

-- name: read_messages
SELECT {message}
FROM saga_messages AS m LEFT JOIN saga_events AS e ON e.notification_id = m.position
WHERE m.position > $1
ORDER BY m.position
LIMIT $2;

-- name: messages_of
SELECT {message}
FROM saga_messages AS m LEFT JOIN saga_events AS e ON e.notification_id = m.position
WHERE m.correlation_id = ANY ($1::text[])
ORDER BY m.position;

-- name: find_message
SELECT {message}
FROM saga_messages AS m JOIN saga_events AS e ON e.notification_id = m.position
WHERE m.message_id = $1
ORDER BY m.position
LIMIT 1;

-- name: commands
SELECT {command_columns} FROM saga_commands WHERE command_id = ANY ($1::text[]);

-- name: commands_of
SELECT {command_columns} FROM saga_commands WHERE saga_id = $1 ORDER BY issued_at, command_id;

-- name: sagas_by_key
SELECT found.*
FROM unnest($2::text[]) AS wanted (key) CROSS JOIN LATERAL (
    SELECT {status_columns} FROM saga_status
    WHERE saga_name = $1 AND saga_key = wanted.key
    ORDER BY run DESC
    LIMIT 1
) AS found;

-- name: sagas_by_correlation
SELECT found.*
FROM (SELECT DISTINCT id FROM unnest($2::text[]) AS given (id)) AS wanted CROSS JOIN LATERAL (
    SELECT {status_columns} FROM saga_status
    WHERE correlation_id COLLATE "C" = wanted.id AND ($1::text IS NULL OR saga_name = $1)
    OFFSET 0
) AS found
ORDER BY saga_id;

-- name: mail
-- Each saga by its id, and then who owns it: a worker owns thousands.
SELECT {row}, {message}
FROM (
    SELECT held.*
    FROM (
        SELECT * FROM saga_inbox WHERE substr(recipient, 1, 12) <> 'participant:' ORDER BY position, message_id
    ) AS held CROSS JOIN LATERAL (
        SELECT owner FROM saga_status WHERE saga_id = held.recipient LIMIT 1
    ) AS saga
    WHERE saga.owner = $1 AND held.recipient <> ALL ($3::text[])
    ORDER BY held.position, held.message_id
    LIMIT $2
) AS i {and_what_it_is_about}
ORDER BY i.position, i.message_id;

-- name: mailed
-- Whose mail that is.
SELECT held.recipient
FROM (
    SELECT recipient, min(position) AS place FROM saga_inbox
    WHERE substr(recipient, 1, 12) <> 'participant:'
    GROUP BY recipient
    ORDER BY place
) AS held CROSS JOIN LATERAL (
    SELECT owner FROM saga_status WHERE saga_id = held.recipient LIMIT 1
) AS saga
WHERE saga.owner = $1 AND held.recipient <> ALL ($3::text[])
ORDER BY held.place, held.recipient
LIMIT $2;

-- name: inbox
SELECT {row}, {message}
FROM (
    SELECT held.* FROM saga_inbox AS held
    WHERE held.recipient = $1 AND held.status = 'pending' AND held.due_at <= $2 AND held.message_id = (
        SELECT first.message_id FROM saga_inbox AS first
        WHERE first.recipient = held.recipient AND first.lane = held.lane
        ORDER BY first.position, first.message_id
        LIMIT 1
    )
    ORDER BY held.position, held.message_id
    LIMIT $3
) AS i {and_what_it_is_about}
ORDER BY i.position, i.message_id;

-- name: unmatched
SELECT {unmatched_columns} FROM saga_unmatched
WHERE ($1::text[] IS NULL OR status = ANY ($1))
    AND ($2::text IS NULL OR name = $2)
    AND ($3::text IS NULL OR consumer = $3)
    AND ($4::text IS NULL OR correlation_id = $4)
    AND ($5::text IS NULL OR unmatched_id = $5)
    AND ($6::text IS NULL OR unmatched_id < $6)
ORDER BY unmatched_id DESC
LIMIT $7;

-- name: unsettled
-- What is to be routed again may still be given up.
SELECT consumer, message_id FROM saga_unmatched
WHERE unmatched_id = $1 AND (status = 'parked' OR (status = 'redelivering' AND $2::text = 'discarded'))
FOR UPDATE;

-- name: settle
UPDATE saga_unmatched SET status = $1, actor = $2, settled_reason = $3, settled_at = $4 WHERE unmatched_id = $5;

-- name: retry_parked
UPDATE saga_inbox SET status = 'pending', attempts = 0, due_at = $3
WHERE recipient = $1 AND message_id = $2 AND status = 'parked';

-- name: drop_parked
DELETE FROM saga_inbox WHERE recipient = $1 AND message_id = $2 AND status = 'parked';

-- name: redelivering
-- Without the messages: there may be many, and large ones.
SELECT unmatched_id, consumer, message_id, kind, name, source, reason, correlation_id, causation_id, position, '' AS message,
    parked_at, status, actor, settled_reason, settled_at
FROM saga_unmatched
WHERE status = 'redelivering' AND consumer = ANY ($1::text[]) AND unmatched_id > $3
ORDER BY unmatched_id
LIMIT $2;
