-- What the PostgreSQL store says about messages, inboxes and consumers, block by block. `$1` are parameters in the order
-- in which they are given; {saga_inbox.all} and its like are lists of columns, which `stores/columns.py` writes out, and
-- {message} and its like are blocks. Whoever changes an inbox or adds a message holds the lock of the log, so what a
-- statement has looked at stays as it is until the commit. LATERAL and LIMIT say what is looked through: tables that are
-- empty one moment and full the next have no statistics to plan by.

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
    INSERT INTO saga_messages (position, {saga_messages.given})
    SELECT e.notification_id, {saga_messages.given of given}
    FROM unnest($4::text[], $5::bigint[], {saga_messages.given as arrays})
        AS given (stream, version, {saga_messages.given})
    JOIN saga_events AS e ON e.originator_id = given.stream AND e.originator_version = given.version
        AND e.xmin = pg_current_xact_id()::xid
), issued AS (
    INSERT INTO saga_commands ({saga_commands.given}, deliveries, position)
    SELECT {saga_commands.given of given}, 0, e.notification_id
    FROM unnest($6::bigint[], {saga_commands.given as arrays}) AS given (version, {saga_commands.given})
    JOIN saga_events AS e ON e.originator_id = given.saga_id AND e.originator_version = given.version
        AND e.xmin = pg_current_xact_id()::xid
    -- How often a command was delivered is not the saga's to say.
    ON CONFLICT (command_id) DO UPDATE SET
        {saga_commands.changing from excluded}, position = excluded.position
), noted AS (
    INSERT INTO saga_inbox ({saga_inbox.given}, position, body, definition)
    SELECT {saga_inbox.given of given}, e.notification_id, given.body, {whose_mail}
    FROM unnest($7::text[], $8::bigint[], $9::text[], {saga_inbox.given as arrays})
        AS given (saga_id, version, body, {saga_inbox.given})
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
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], {saga_inbox.changing as arrays})
        AS needed (posting, recipient, message_id, {saga_inbox.changing})
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
    UPDATE saga_inbox AS held SET {saga_inbox.changing from needed}
    FROM needed
    WHERE held.recipient = needed.recipient AND held.message_id = needed.message_id AND needed.attempts IS NOT NULL
        AND (needed.posting IN (SELECT posting FROM missing)) IS NOT TRUE
), fresh AS MATERIALIZED (
    SELECT nextval('saga_events_notification_id_seq') AS position, given.*
    FROM (
        SELECT * FROM unnest($4::bigint[], $5::text[], $6::bytea[], {saga_messages.given as arrays})
            WITH ORDINALITY AS given (posting, stream, state, {saga_messages.given}, ordinal)
        WHERE (given.posting IN (SELECT posting FROM missing)) IS NOT TRUE
            AND NOT EXISTS (SELECT 1 FROM saga_messages AS known WHERE known.message_id = given.message_id)
        ORDER BY ordinal
    ) AS given
), logged AS (
    INSERT INTO saga_events (originator_id, originator_version, topic, state, notification_id)
    SELECT stream, 1, $7::text, state, position FROM fresh
), indexed AS (
    INSERT INTO saga_messages ({saga_messages.all}) SELECT {saga_messages.all} FROM fresh
), parked AS (
    INSERT INTO saga_unmatched ({saga_unmatched.all})
    SELECT {saga_unmatched.all}
    FROM unnest($8::bigint[], {saga_unmatched.all as arrays}) AS given (posting, {saga_unmatched.all})
    WHERE (given.posting IN (SELECT posting FROM missing)) IS NOT TRUE
    ON CONFLICT (consumer, message_id) DO UPDATE SET {saga_unmatched.changing from excluded}
), delivered AS (
    UPDATE saga_commands AS command SET deliveries = command.deliveries + given.times
    FROM unnest($9::bigint[], $10::text[], $11::bigint[]) AS given (posting, command_id, times)
    WHERE command.command_id = given.command_id
        AND (given.posting IN (SELECT posting FROM missing)) IS NOT TRUE
)
SELECT DISTINCT posting FROM missing;

-- name: put
INSERT INTO saga_inbox ({saga_inbox.all}, body, definition)
SELECT {saga_inbox.all}, body, {whose_mail}
FROM unnest($1::text[], {saga_inbox.all as arrays}) AS given (body, {saga_inbox.all})
ON CONFLICT DO NOTHING;

-- name: whose_mail
CASE WHEN substr(given.recipient, 1, 12) <> 'participant:' THEN
    coalesce((SELECT definition FROM saga_status WHERE saga_id = given.recipient), '')
END

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
INSERT INTO saga_commands ({saga_commands.given}, deliveries, position)
SELECT {saga_commands.given}, 0, position
FROM unnest({saga_commands.given as arrays}, $1::bigint[]) AS given ({saga_commands.given}, position)
ON CONFLICT (command_id) DO UPDATE SET {saga_commands.computed from excluded};

-- name: forget_commands
DELETE FROM saga_commands WHERE saga_id = ANY ($1::text[]) AND NOT command_id = ANY ($2::text[]);

-- name: forget_messages
DELETE FROM saga_messages WHERE position > $1 AND position <= $2;

-- name: insert_message
INSERT INTO saga_messages ({saga_messages.all}) SELECT * FROM unnest({saga_messages.all as arrays});

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
{saga_messages.all of m}, e.state

-- name: row
{saga_inbox.all of i}, i.body

-- name: and_what_it_is_about
LEFT JOIN LATERAL (
    SELECT * FROM saga_messages WHERE position = i.position AND i.body IS NULL LIMIT 1
) AS m ON TRUE LEFT JOIN LATERAL (
    SELECT state FROM saga_events WHERE notification_id = m.position LIMIT 1
) AS e ON TRUE

-- name: its_event
-- Each by itself: both in the order of positions side by side would be the whole log up to here.
LEFT JOIN LATERAL (SELECT state FROM saga_events WHERE notification_id = m.position LIMIT 1) AS e ON TRUE

-- name: read_messages
SELECT {message}
FROM saga_messages AS m {its_event}
WHERE m.position > $1
ORDER BY m.position
LIMIT $2;

-- name: messages_of
SELECT {message}
FROM saga_messages AS m {its_event}
WHERE m.correlation_id = ANY ($1::text[])
ORDER BY m.position;

-- name: find_message
-- The few of that id first (OFFSET 0 keeps the planner from walking through all, in the order of positions, instead).
SELECT {message}
FROM (SELECT * FROM saga_messages WHERE message_id = $1 OFFSET 0) AS m CROSS JOIN LATERAL (
    SELECT state FROM saga_events WHERE notification_id = m.position LIMIT 1
) AS e
ORDER BY m.position
LIMIT 1;

-- name: commands
SELECT {saga_commands.all} FROM saga_commands WHERE command_id = ANY ($1::text[]);

-- name: commands_of
SELECT {saga_commands.all} FROM saga_commands WHERE saga_id = $1 ORDER BY issued_at, command_id;

-- name: commands_many
SELECT {saga_commands.all} FROM saga_commands
WHERE saga_id = ANY ($1::text[])
ORDER BY saga_id, issued_at, command_id;

-- name: sagas_by_key
SELECT found.*
FROM unnest($2::text[]) AS wanted (key) CROSS JOIN LATERAL (
    SELECT {saga_status.all} FROM saga_status
    WHERE saga_name = $1 AND saga_key = wanted.key
    ORDER BY run DESC
    LIMIT 1
) AS found;

-- name: sagas_by_correlation
SELECT found.*
FROM (SELECT DISTINCT id FROM unnest($2::text[]) AS given (id)) AS wanted CROSS JOIN LATERAL (
    -- The few of that id first: planned for the name at hand, an index by name looks as good while there are no statistics.
    SELECT {saga_status.all}
    FROM (SELECT * FROM saga_status WHERE correlation_id COLLATE "C" = wanted.id OFFSET 0) AS few
    WHERE $1::text IS NULL OR saga_name = $1
    OFFSET 0
) AS found
ORDER BY saga_id;

-- name: definitions_of
-- Those of the sagas that a worker owns, found by stepping from one to the next: it owns thousands of sagas.
of_worker (definition) AS (
    (SELECT definition FROM saga_status WHERE owner = $1 ORDER BY definition LIMIT 1)
    UNION ALL
    SELECT (
        SELECT saga.definition FROM saga_status AS saga
        WHERE saga.owner = $1 AND saga.definition > of_worker.definition
        ORDER BY saga.definition
        LIMIT 1
    )
    FROM of_worker WHERE of_worker.definition IS NOT NULL
), of_mail (definition) AS (
    -- Mail may be older than its saga, and then it names no definition.
    SELECT definition FROM of_worker WHERE definition IS NOT NULL UNION ALL SELECT ''
)

-- name: first_mail
-- The first row of the inbox of each saga of a worker, as many of each definition as are wanted in all.
WITH RECURSIVE {definitions_of}, mailed AS MATERIALIZED (
    SELECT each_one.recipient, each_one.lane, each_one.position
    FROM of_mail CROSS JOIN LATERAL (
        SELECT held.recipient, held.lane, held.position
        FROM (
            SELECT * FROM saga_inbox AS first
            WHERE first.definition = of_mail.definition AND first.behind = 0
            ORDER BY first.position, first.recipient
        ) AS held CROSS JOIN LATERAL (
            SELECT owner FROM saga_status WHERE saga_id = held.recipient LIMIT 1
        ) AS saga
        WHERE saga.owner = $1 AND held.recipient <> ALL ($3::text[])
        LIMIT $2
    ) AS each_one
    ORDER BY each_one.position, each_one.recipient
    LIMIT $2
)

-- name: mail
-- No row is among the first ones of all but the first ones of its saga, and of the sagas that have the first ones.
{first_mail}
SELECT {row}, {message}
FROM (
    SELECT held.*
    FROM mailed CROSS JOIN LATERAL (
        SELECT * FROM saga_inbox AS one
        WHERE one.lane = mailed.lane AND one.recipient = mailed.recipient
        ORDER BY one.position, one.message_id
        LIMIT $2
    ) AS held
    ORDER BY held.position, held.message_id
    LIMIT $2
) AS i {and_what_it_is_about}
ORDER BY i.position, i.message_id;

-- name: mailed
-- Whose mail that is.
{first_mail}
SELECT recipient FROM mailed ORDER BY position, recipient;

-- name: inbox
-- Of those that were tried before, the ones that have been due for longest: they are not passed over while they are not.
SELECT {row}, {message}
FROM (
    SELECT held.* FROM (
        (
            SELECT * FROM saga_inbox AS first
            WHERE first.recipient = $1 AND first.status = 'pending' AND first.attempts = 0 AND first.behind = 0
                AND first.due_at <= $2
            ORDER BY first.position, first.message_id
            LIMIT $3
        )
        UNION ALL
        (
            SELECT * FROM saga_inbox AS again
            WHERE again.recipient = $1 AND again.status = 'pending' AND again.attempts > 0 AND again.behind = 0
                AND again.due_at <= $2
            ORDER BY again.due_at
            LIMIT $3
        )
    ) AS held
    ORDER BY held.position, held.message_id
    LIMIT $3
) AS i {and_what_it_is_about}
ORDER BY i.position, i.message_id;

-- name: unmatched
-- Planned for the values at hand. Of one status, so that an index has them in their order, and a page begins where the one
-- before has ended.
SELECT {saga_unmatched.all} FROM saga_unmatched
WHERE status = $1
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
-- The first ones of each consumer, without the messages: there may be many, and large ones.
SELECT {saga_unmatched.all of known}
FROM unnest($1::text[]) AS wanted (name) CROSS JOIN LATERAL (
    SELECT {saga_unmatched.all but message}, '' AS message FROM saga_unmatched
    WHERE status = 'redelivering' AND consumer = wanted.name AND unmatched_id > $3
    ORDER BY unmatched_id
    LIMIT $2
) AS known
ORDER BY known.unmatched_id
LIMIT $2;
