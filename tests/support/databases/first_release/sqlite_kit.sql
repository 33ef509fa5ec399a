-- The inbox of a participant that keeps its own SQLite database: one row is one action, done or not, undone or not.
-- It is written in the participant's own transaction. The key makes a command's effect unique: a second transaction with
-- the same action waits for the first. Times are microseconds since the epoch. The same columns are on PostgreSQL.

-- name: create
CREATE TABLE IF NOT EXISTS participant_inbox (
    participant TEXT NOT NULL,
    -- the id of the command that asks for the effect; of an event, its id
    action TEXT NOT NULL,
    -- done, refused (definitely not done), undone, or called_off: undone before it was done, a tombstone
    status TEXT NOT NULL,
    -- how often messages about this action have come
    deliveries INTEGER NOT NULL,
    -- the command that was answered, and its answers as JSON
    command_id TEXT,
    answers TEXT,
    -- the command that undoes the action, and its answers as JSON
    undo_id TEXT,
    undo_answers TEXT,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (participant, action)
) WITHOUT ROWID;

-- name: take
-- Makes the row or locks the one that is there. No row is ever committed as new.
INSERT INTO participant_inbox (participant, action, status, deliveries, first_at, last_at)
VALUES (:participant, :action, 'new', 1, :now, :now)
ON CONFLICT (participant, action) DO UPDATE SET deliveries = participant_inbox.deliveries + 1, last_at = excluded.last_at;

-- name: read
SELECT status, deliveries, command_id, answers, undo_id, undo_answers FROM participant_inbox
WHERE participant = :participant AND action = :action;

-- name: record
UPDATE participant_inbox
SET status = :status, command_id = :command_id, answers = :answers, undo_id = :undo_id, undo_answers = :undo_answers
WHERE participant = :participant AND action = :action;

-- name: forget
DELETE FROM participant_inbox WHERE participant = :participant AND last_at < :before;

-- name: begin
-- IMMEDIATE: it waits here for its turn. One that becomes a writer only later may fail at once instead.
BEGIN IMMEDIATE;

-- name: commit
COMMIT;

-- name: end
ROLLBACK;

-- name: mark
SAVEPOINT participant_inbox;

-- name: back_to_mark
ROLLBACK TO participant_inbox;

-- name: unmark
RELEASE participant_inbox;
