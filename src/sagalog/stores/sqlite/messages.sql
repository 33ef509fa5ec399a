-- What the SQLite store says about messages, inboxes and consumers, block by block. `?` are parameters in the order of
-- the text. {saga_inbox.all} and its like are lists of columns, which `stores/columns.py` writes out, {message} and its
-- like are blocks. INDEXED BY and CROSS JOIN say what is looked through: a plan that reads what waits for others, or all
-- that has ended, is refused instead of being slow.

-- name: insert_message
INSERT INTO saga_messages ({saga_messages.all}) VALUES ({saga_messages.all as marks});

-- name: known_messages
SELECT DISTINCT message_id FROM saga_messages WHERE message_id IN (SELECT value FROM json_each(?));

-- name: upsert_command
-- How often a command was delivered is not the saga's to say.
INSERT INTO saga_commands ({saga_commands.given}, deliveries, position) VALUES ({saga_commands.given as marks}, ?, ?)
ON CONFLICT (command_id) DO UPDATE SET {saga_commands.changing from excluded}, position = excluded.position;

-- name: rewrite_command
INSERT INTO saga_commands ({saga_commands.given}, deliveries, position) VALUES ({saga_commands.given as marks}, ?, ?)
ON CONFLICT (command_id) DO UPDATE SET {saga_commands.computed from excluded};

-- name: forget_commands
DELETE FROM saga_commands
WHERE saga_id IN (SELECT value FROM json_each(?)) AND command_id NOT IN (SELECT value FROM json_each(?));

-- name: forget_messages
DELETE FROM saga_messages WHERE position > ? AND position <= ?;

-- name: delivered
UPDATE saga_commands SET deliveries = deliveries + ? WHERE command_id = ?;

-- name: put
INSERT INTO saga_inbox ({saga_inbox.all}, body, definition)
SELECT given.*, {whose_mail}
FROM (
    WITH given ({saga_inbox.all}, body) AS (VALUES ({saga_inbox.all as marks}, ?))
    SELECT * FROM given
) AS given
-- Otherwise ON could begin the condition of a join.
WHERE true
ON CONFLICT DO NOTHING;

-- name: whose_mail
CASE WHEN substr(given.recipient, 1, 12) <> 'participant:' THEN
    coalesce((SELECT definition FROM saga_status WHERE saga_id = given.recipient), '')
END

-- name: take_inbox
-- As a list of pairs it would read all that a recipient has, or everybody, once somebody has run ANALYZE.
DELETE FROM saga_inbox WHERE (recipient = ? AND message_id = ?);

-- name: retry_inbox
-- A worker that was not told yet that another took over must not undo what that one has tried.
UPDATE saga_inbox AS held SET {saga_inbox.changing from new}
FROM (
    WITH given (recipient, message_id, {saga_inbox.changing}) AS (VALUES (?, ?, {saga_inbox.changing as marks}))
    SELECT * FROM given
) AS new
WHERE held.recipient = new.recipient AND held.message_id = new.message_id AND held.attempts <= new.attempts;

-- name: park
INSERT INTO saga_unmatched ({saga_unmatched.all}) VALUES ({saga_unmatched.all as marks})
ON CONFLICT (consumer, message_id) DO UPDATE SET {saga_unmatched.changing from excluded};

-- name: redelivered
UPDATE saga_unmatched SET status = 'redelivered'
WHERE status = 'redelivering' AND unmatched_id IN (SELECT value FROM json_each(?));

-- name: advance
UPDATE saga_consumers SET position = ? WHERE consumer = ? AND owner = ? AND position = ?;

-- name: takeable_consumers
-- How many there are that no live worker owns, or that are new.
SELECT count(*) FROM json_each(:names) AS wanted LEFT JOIN saga_consumers ON consumer = wanted.value
WHERE consumer IS NULL OR owner IS NULL
    OR (owner <> :worker_id AND owner NOT IN (SELECT worker_id FROM saga_workers WHERE lease_until > :now));

-- name: insert_consumers
INSERT INTO saga_consumers (consumer, position, owner, updated_at)
SELECT value, ?, NULL, ? FROM json_each(?) WHERE TRUE
ON CONFLICT DO NOTHING;

-- name: forget_their_readers
-- As forget_their_owners, of consumers.
DELETE FROM saga_workers
WHERE lease_until <= :now
    AND worker_id IN (SELECT owner FROM saga_consumers WHERE consumer IN (SELECT value FROM json_each(:names)));

-- name: take_consumers
-- Follows forget_their_readers.
UPDATE saga_consumers SET owner = :worker_id, updated_at = :now
WHERE consumer IN (SELECT value FROM json_each(:names))
    AND (owner IS NULL OR owner NOT IN (SELECT worker_id FROM saga_workers));

-- name: release_consumers
UPDATE saga_consumers SET owner = NULL WHERE owner = ? AND consumer IN (SELECT value FROM json_each(?));

-- name: consumers
SELECT consumer, position, owner, updated_at FROM saga_consumers ORDER BY consumer;

-- name: message
{saga_messages.all of m}, e.state

-- name: row
{saga_inbox.all of i}, i.body

-- name: and_what_it_is_about
LEFT JOIN saga_messages AS m ON m.position = i.position AND i.body IS NULL
    LEFT JOIN saga_events AS e ON e.rowid = m.position

-- name: read_messages
SELECT {message}
FROM saga_messages AS m LEFT JOIN saga_events AS e ON e.rowid = m.position
WHERE m.position > :after
ORDER BY m.position
LIMIT :limit;

-- name: messages_of
SELECT {message}
FROM saga_messages AS m LEFT JOIN saga_events AS e ON e.rowid = m.position
WHERE m.correlation_id IN (SELECT value FROM json_each(:correlation_ids))
ORDER BY m.position;

-- name: find_message
SELECT {message}
FROM saga_messages AS m JOIN saga_events AS e ON e.rowid = m.position
WHERE m.message_id = :message_id
ORDER BY m.position
LIMIT 1;

-- name: commands
SELECT {saga_commands.all} FROM saga_commands WHERE command_id IN (SELECT value FROM json_each(:command_ids));

-- name: commands_of
SELECT {saga_commands.all} FROM saga_commands WHERE saga_id = :saga_id ORDER BY issued_at, command_id;

-- name: commands_many
SELECT {saga_commands.all} FROM saga_commands
WHERE saga_id IN (SELECT value FROM json_each(:saga_ids))
ORDER BY saga_id, issued_at, command_id;

-- name: sagas_by_key
SELECT {saga_status.all of saga_status}
FROM json_each(:keys) AS wanted CROSS JOIN saga_status ON saga_key = wanted.value
WHERE saga_name = :saga_name
ORDER BY run;

-- name: sagas_by_correlation
SELECT {saga_status.all} FROM saga_status
WHERE correlation_id IN (SELECT value FROM json_each(:correlation_ids))
    AND (:saga_name IS NULL OR saga_name = :saga_name)
ORDER BY saga_id;

-- name: definitions_of
-- Those of the sagas that a worker owns, found by stepping from one to the next: it owns thousands of sagas.
of_worker (definition) AS (
    SELECT min(definition) FROM saga_status WHERE owner = :worker_id
    UNION ALL
    SELECT (SELECT min(definition) FROM saga_status WHERE owner = :worker_id AND definition > of_worker.definition)
    FROM of_worker WHERE of_worker.definition IS NOT NULL
), of_mail (definition) AS (
    -- Mail may be older than its saga, and then it names no definition.
    SELECT definition FROM of_worker WHERE definition IS NOT NULL UNION ALL SELECT ''
)

-- name: first_mail
-- The first row of the inbox of each saga of a worker, as many of each definition as are wanted in all. Lists in JSON are
-- what makes a query with a limit of its own for each row of another one.
WITH RECURSIVE {definitions_of}, mailed AS MATERIALIZED (
    SELECT one.value ->> 0 AS recipient, one.value ->> 1 AS lane, one.value ->> 2 AS position
    FROM of_mail CROSS JOIN json_each((
        SELECT json_group_array(json_array(recipient, lane, position)) FROM (
            SELECT first.recipient, first.lane, first.position
            FROM saga_inbox AS first INDEXED BY saga_inbox_sagas CROSS JOIN saga_status AS s ON s.saga_id = first.recipient
            WHERE first.definition = of_mail.definition AND first.behind = 0 AND s.owner = :worker_id
                AND first.recipient NOT IN (SELECT value FROM json_each(:but))
            ORDER BY first.position, first.recipient
            LIMIT :limit
        )
    )) AS one
    ORDER BY position, recipient
    LIMIT :limit
)

-- name: mail
-- No row is among the first ones of all but the first ones of its saga, and of the sagas that have the first ones.
{first_mail}, wanted AS MATERIALIZED (
    SELECT mailed.recipient, one.value ->> 0 AS message_id, one.value ->> 1 AS position
    FROM mailed CROSS JOIN json_each((
        SELECT json_group_array(json_array(message_id, position)) FROM (
            SELECT message_id, position FROM saga_inbox INDEXED BY saga_inbox_lane
            WHERE lane = mailed.lane AND recipient = mailed.recipient
            ORDER BY position, message_id
            LIMIT :limit
        )
    )) AS one
    ORDER BY 3, 2
    LIMIT :limit
)
SELECT {row}, {message}
FROM wanted CROSS JOIN saga_inbox AS i ON i.recipient = wanted.recipient AND i.message_id = wanted.message_id
    {and_what_it_is_about}
ORDER BY i.position, i.message_id;

-- name: mailed
-- Whose mail that is.
{first_mail}
SELECT recipient FROM mailed ORDER BY position, recipient;

-- name: inbox
-- Of those that were tried before, the ones that have been due for longest: they are not passed over while they are not.
WITH first AS MATERIALIZED (
    SELECT recipient, message_id FROM (
        SELECT recipient, message_id FROM saga_inbox INDEXED BY saga_inbox_first
        WHERE recipient = :recipient AND status = 'pending' AND attempts = 0 AND behind = 0 AND due_at <= :now
        ORDER BY position, message_id
        LIMIT :limit
    )
    UNION ALL
    SELECT recipient, message_id FROM (
        SELECT recipient, message_id FROM saga_inbox INDEXED BY saga_inbox_again
        WHERE recipient = :recipient AND status = 'pending' AND attempts > 0 AND behind = 0 AND due_at <= :now
        ORDER BY due_at
        LIMIT :limit
    )
)
SELECT {row}, {message}
FROM first CROSS JOIN saga_inbox AS i ON i.recipient = first.recipient AND i.message_id = first.message_id
    {and_what_it_is_about}
ORDER BY i.position, i.message_id
LIMIT :limit;

-- name: unmatched
-- Of one status, so that an index has them in their order, and a page begins where the one before has ended.
SELECT {saga_unmatched.all} FROM saga_unmatched INDEXED BY saga_unmatched_status
WHERE status = :status AND {unmatched_alike};

-- name: unmatched_named
SELECT {saga_unmatched.all} FROM saga_unmatched INDEXED BY saga_unmatched_name
WHERE name = :name AND status = :status AND {unmatched_alike};

-- name: unmatched_consumed
SELECT {saga_unmatched.all} FROM saga_unmatched INDEXED BY saga_unmatched_consumer
WHERE consumer = :consumer AND status = :status AND {unmatched_alike};

-- name: unmatched_correlated
-- Few belong to one correlation id.
SELECT {saga_unmatched.all} FROM saga_unmatched INDEXED BY saga_unmatched_correlation
WHERE correlation_id = :correlation_id AND status = :status AND {unmatched_alike};

-- name: unmatched_one
SELECT {saga_unmatched.all} FROM saga_unmatched
WHERE unmatched_id = :unmatched_id AND status = :status AND {unmatched_alike};

-- name: unmatched_alike
-- Any blob is behind every text: without `before` all ids are.
unmatched_id < coalesce(:before, x'')
    AND (:name IS NULL OR name = :name)
    AND (:consumer IS NULL OR consumer = :consumer)
    AND (:correlation_id IS NULL OR correlation_id = :correlation_id)
ORDER BY unmatched_id DESC
LIMIT :limit

-- name: unsettled
-- What is to be routed again may still be given up.
SELECT consumer, message_id FROM saga_unmatched
WHERE unmatched_id = ? AND (status = 'parked' OR (status = 'redelivering' AND ? = 'discarded'));

-- name: settle
UPDATE saga_unmatched SET status = ?, actor = ?, settled_reason = ?, settled_at = ? WHERE unmatched_id = ?;

-- name: retry_parked
UPDATE saga_inbox SET status = 'pending', attempts = 0, due_at = ?
WHERE recipient = ? AND message_id = ? AND status = 'parked';

-- name: drop_parked
DELETE FROM saga_inbox WHERE recipient = ? AND message_id = ? AND status = 'parked';

-- name: redelivering
-- The first ones of each consumer, without the messages: there may be many, and large ones.
SELECT {saga_unmatched.all}
FROM (
    SELECT {saga_unmatched.all but message}, '' AS message
    FROM json_each(:consumers) AS wanted CROSS JOIN saga_unmatched
    WHERE unmatched_id IN (
        SELECT unmatched_id FROM saga_unmatched INDEXED BY saga_unmatched_again
        WHERE status = 'redelivering' AND consumer = wanted.value AND unmatched_id > :after
        ORDER BY unmatched_id
        LIMIT :limit
    )
    ORDER BY unmatched_id
    LIMIT :limit
) AS known
ORDER BY unmatched_id;
