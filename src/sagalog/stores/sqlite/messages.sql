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
INSERT INTO saga_inbox ({saga_inbox.all}, body) VALUES ({saga_inbox.all as marks}, ?)
ON CONFLICT DO NOTHING;

-- name: take_inbox
DELETE FROM saga_inbox WHERE (recipient, message_id) IN (VALUES (?, ?));

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

-- name: mail
SELECT {row}, {message}
FROM saga_inbox AS i INDEXED BY saga_inbox_sagas
    CROSS JOIN saga_status AS s ON s.saga_id = i.recipient
    {and_what_it_is_about}
WHERE substr(i.recipient, 1, 12) <> 'participant:' AND s.owner = :worker_id
    AND i.recipient NOT IN (SELECT value FROM json_each(:but))
ORDER BY i.position, i.message_id
LIMIT :limit;

-- name: mailed
-- Whose mail that is.
SELECT i.recipient
FROM saga_inbox AS i INDEXED BY saga_inbox_sagas CROSS JOIN saga_status AS s ON s.saga_id = i.recipient
WHERE substr(i.recipient, 1, 12) <> 'participant:' AND s.owner = :worker_id
    AND i.recipient NOT IN (SELECT value FROM json_each(:but))
GROUP BY i.recipient
ORDER BY min(i.position), i.recipient
LIMIT :limit;

-- name: inbox
SELECT {row}, {message}
FROM saga_inbox AS i INDEXED BY saga_inbox_due
    {and_what_it_is_about}
WHERE i.recipient = :recipient AND i.status = 'pending' AND i.due_at <= :now AND NOT EXISTS (
    SELECT 1 FROM saga_inbox AS earlier
    WHERE earlier.recipient = i.recipient AND earlier.lane = i.lane
        AND (earlier.position, earlier.message_id) < (i.position, i.message_id)
)
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
-- Without the messages: there may be many, and large ones.
SELECT {saga_unmatched.all}
FROM (
    SELECT {saga_unmatched.all but message}, '' AS message FROM saga_unmatched
    WHERE status = 'redelivering' AND consumer IN (SELECT value FROM json_each(:consumers)) AND unmatched_id > :after
    ORDER BY unmatched_id
    LIMIT :limit
) AS known
ORDER BY unmatched_id;
