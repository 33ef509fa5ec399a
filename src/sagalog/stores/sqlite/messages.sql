-- What the SQLite store says about messages, inboxes and consumers, block by block. `?` are parameters in the order of
-- the text. {message} stands for the block of that name; INDEXED BY and CROSS JOIN say what is looked through: a plan that
-- reads what waits for others, or all that has ended, is refused instead of being slow.

-- name: insert_message
INSERT INTO saga_messages (
    position, message_id, kind, name, source, correlation_id, causation_id, time, saga_id, step
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: known_messages
SELECT DISTINCT message_id FROM saga_messages WHERE message_id IN (SELECT value FROM json_each(?));

-- name: upsert_command
-- How often a command was delivered is not the saga's to say.
INSERT INTO saga_commands (
    command_id, name, saga_id, step, direction, status, sendings, correlation_id, causation_id, issued_at, answered_at,
    deliveries, position
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (command_id) DO UPDATE SET
    status = excluded.status, sendings = excluded.sendings, answered_at = excluded.answered_at,
    position = excluded.position;

-- name: rewrite_command
INSERT INTO saga_commands (
    command_id, name, saga_id, step, direction, status, sendings, correlation_id, causation_id, issued_at, answered_at,
    deliveries, position
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (command_id) DO UPDATE SET
    name = excluded.name, saga_id = excluded.saga_id, step = excluded.step, direction = excluded.direction,
    status = excluded.status, sendings = excluded.sendings, correlation_id = excluded.correlation_id,
    causation_id = excluded.causation_id, issued_at = excluded.issued_at, answered_at = excluded.answered_at,
    position = excluded.position;

-- name: forget_commands
DELETE FROM saga_commands
WHERE saga_id IN (SELECT value FROM json_each(?)) AND command_id NOT IN (SELECT value FROM json_each(?));

-- name: forget_messages
DELETE FROM saga_messages WHERE position > ? AND position <= ?;

-- name: delivered
UPDATE saga_commands SET deliveries = deliveries + ? WHERE command_id = ?;

-- name: insert_inbox
INSERT INTO saga_inbox (
    recipient, message_id, lane, name, arrived_at, due_at, status, attempts, error_type, error_text, position, body
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: take_inbox
DELETE FROM saga_inbox WHERE (recipient, message_id) IN (VALUES (?, ?));

-- name: retry_inbox
-- A worker that was not told yet that another took over must not undo what that one has tried.
UPDATE saga_inbox SET
    status = new.column3, attempts = new.column4, due_at = new.column5, error_type = new.column6,
    error_text = new.column7
FROM (VALUES (?, ?, ?, ?, ?, ?, ?)) AS new
WHERE recipient = new.column1 AND message_id = new.column2 AND attempts <= new.column4;

-- name: park
INSERT INTO saga_unmatched (
    unmatched_id, consumer, message_id, kind, name, source, reason, correlation_id, causation_id, position, message,
    parked_at, status, actor, settled_reason, settled_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (consumer, message_id) DO UPDATE SET
    kind = excluded.kind, name = excluded.name, source = excluded.source, reason = excluded.reason,
    correlation_id = excluded.correlation_id, causation_id = excluded.causation_id, position = excluded.position,
    message = excluded.message, parked_at = excluded.parked_at, status = excluded.status, actor = excluded.actor,
    settled_reason = excluded.settled_reason, settled_at = excluded.settled_at;

-- name: redelivered
UPDATE saga_unmatched SET status = 'redelivered'
WHERE status = 'redelivering' AND unmatched_id IN (SELECT value FROM json_each(?));

-- name: advance
UPDATE saga_consumers SET position = ? WHERE consumer = ? AND owner = ? AND position = ?;

-- name: takeable_consumers
-- How many there are that no live worker owns, or that are new.
SELECT count(*) FROM json_each(?) AS wanted LEFT JOIN saga_consumers ON consumer = wanted.value
WHERE consumer IS NULL OR owner IS NULL
    OR (owner <> ? AND owner NOT IN (SELECT worker_id FROM saga_workers WHERE lease_until > ?));

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
m.position, m.message_id, m.kind, m.name, m.source, m.correlation_id, m.causation_id, m.time, m.saga_id, m.step, e.state

-- name: row
i.recipient, i.message_id, i.lane, i.name, i.arrived_at, i.due_at, i.status, i.attempts, i.error_type, i.error_text,
i.position, i.body

-- name: read_messages
SELECT {message}
FROM saga_messages AS m LEFT JOIN saga_events AS e ON e.rowid = m.position
WHERE m.position > ?
ORDER BY m.position
LIMIT ?;

-- name: messages_of
SELECT {message}
FROM saga_messages AS m LEFT JOIN saga_events AS e ON e.rowid = m.position
WHERE m.correlation_id IN (SELECT value FROM json_each(?))
ORDER BY m.position;

-- name: find_message
SELECT {message}
FROM saga_messages AS m JOIN saga_events AS e ON e.rowid = m.position
WHERE m.message_id = ?
ORDER BY m.position
LIMIT 1;

-- name: commands
SELECT command_id, name, saga_id, step, direction, status, sendings, correlation_id, causation_id, issued_at,
    answered_at, deliveries, position
FROM saga_commands WHERE command_id IN (SELECT value FROM json_each(?));

-- name: commands_of
SELECT command_id, name, saga_id, step, direction, status, sendings, correlation_id, causation_id, issued_at,
    answered_at, deliveries, position
FROM saga_commands WHERE saga_id = ? ORDER BY issued_at, command_id;

-- name: sagas_by_key
SELECT saga_status.*
FROM json_each(?) AS wanted CROSS JOIN saga_status ON saga_key = wanted.value
WHERE saga_name = ?
ORDER BY run;

-- name: sagas_by_correlation
SELECT * FROM saga_status
WHERE correlation_id IN (SELECT value FROM json_each(:correlation_ids))
    AND (:saga_name IS NULL OR saga_name = :saga_name)
ORDER BY saga_id;

-- name: mail
SELECT {row}, {message}
FROM saga_inbox AS i INDEXED BY saga_inbox_sagas
    CROSS JOIN saga_status AS s ON s.saga_id = i.recipient
    LEFT JOIN saga_messages AS m ON m.position = i.position AND i.body IS NULL
    LEFT JOIN saga_events AS e ON e.rowid = m.position
WHERE substr(i.recipient, 1, 12) <> 'participant:' AND s.owner = ?
    AND i.recipient NOT IN (SELECT value FROM json_each(?))
ORDER BY i.position, i.message_id
LIMIT ?;

-- name: mailed
-- Whose mail that is.
SELECT i.recipient
FROM saga_inbox AS i INDEXED BY saga_inbox_sagas CROSS JOIN saga_status AS s ON s.saga_id = i.recipient
WHERE substr(i.recipient, 1, 12) <> 'participant:' AND s.owner = ?
    AND i.recipient NOT IN (SELECT value FROM json_each(?))
GROUP BY i.recipient
ORDER BY min(i.position), i.recipient
LIMIT ?;

-- name: inbox
SELECT {row}, {message}
FROM saga_inbox AS i INDEXED BY saga_inbox_due
    LEFT JOIN saga_messages AS m ON m.position = i.position AND i.body IS NULL
    LEFT JOIN saga_events AS e ON e.rowid = m.position
WHERE i.recipient = ? AND i.status = 'pending' AND i.due_at <= ? AND NOT EXISTS (
    SELECT 1 FROM saga_inbox AS earlier
    WHERE earlier.recipient = i.recipient AND earlier.lane = i.lane
        AND (earlier.position, earlier.message_id) < (i.position, i.message_id)
)
ORDER BY i.position, i.message_id
LIMIT ?;

-- name: unmatched
SELECT * FROM saga_unmatched
WHERE (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
    AND (:name IS NULL OR name = :name)
    AND (:consumer IS NULL OR consumer = :consumer)
    AND (:correlation_id IS NULL OR correlation_id = :correlation_id)
    AND (:unmatched_id IS NULL OR unmatched_id = :unmatched_id)
    AND (:before IS NULL OR unmatched_id < :before)
ORDER BY unmatched_id DESC
LIMIT :limit;

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
SELECT unmatched_id, consumer, message_id, kind, name, source, reason, correlation_id, causation_id, position, '' AS message,
    parked_at, status, actor, settled_reason, settled_at
FROM saga_unmatched
WHERE status = 'redelivering' AND consumer IN (SELECT value FROM json_each(?)) AND unmatched_id > ?
ORDER BY unmatched_id
LIMIT ?;
