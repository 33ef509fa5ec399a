-- The inbox of a participant that keeps its own PostgreSQL database: one row is one action, done or not, undone or not.
-- It is written in the participant's own transaction. The key makes a command's effect unique: a second transaction with
-- the same action waits for the first. Times are microseconds since the epoch. The same columns are on SQLite.

-- name: create
CREATE TABLE IF NOT EXISTS participant_inbox (
    participant text COLLATE "C" NOT NULL,
    -- the id of the command that asks for the effect; of an event, its id
    action text COLLATE "C" NOT NULL,
    -- done, refused (definitely not done), undone, or called_off: undone before it was done, a tombstone
    status text NOT NULL,
    -- how often messages about this action have come
    deliveries bigint NOT NULL,
    -- the command that was answered, and its answers as JSON
    command_id text,
    answers text,
    -- the command that undoes the action, and its answers as JSON
    undo_id text,
    undo_answers text,
    first_at bigint NOT NULL,
    last_at bigint NOT NULL,
    PRIMARY KEY (participant, action)
);

-- name: take
-- Makes the row or locks the one that is there. No row is ever committed as new.
INSERT INTO participant_inbox (participant, action, status, deliveries, first_at, last_at)
VALUES (%(participant)s, %(action)s, 'new', 1, %(now)s, %(now)s)
ON CONFLICT (participant, action) DO UPDATE SET deliveries = participant_inbox.deliveries + 1, last_at = excluded.last_at;

-- name: read
SELECT status, deliveries, command_id, answers, undo_id, undo_answers FROM participant_inbox
WHERE participant = %(participant)s AND action = %(action)s;

-- name: record
UPDATE participant_inbox
SET status = %(status)s, command_id = %(command_id)s, answers = %(answers)s,
    undo_id = %(undo_id)s, undo_answers = %(undo_answers)s
WHERE participant = %(participant)s AND action = %(action)s;

-- name: forget
DELETE FROM participant_inbox WHERE participant = %(participant)s AND last_at < %(before)s;
