-- The inbox of a participant that keeps its own SQLite database: one row is one action, done or not, undone or not.
-- It is written in the participant's own transaction. The key makes a command's effect unique: a second transaction with
-- the same action waits for the first. Times are microseconds since the epoch. The same columns are on PostgreSQL.

-- name: lock
-- One process at a time makes the table: BEGIN IMMEDIATE has seen to it, and a transaction of the owner waits at CREATE.
SELECT 1;

-- name: state
-- Whose table there is: `ours`, one of an `older` release, which had no prefix, `both`, or `none`. A table of another
-- that has the older name has other columns.
SELECT CASE WHEN ours AND older THEN 'both' WHEN ours THEN 'ours' WHEN older THEN 'older' ELSE 'none' END
FROM (
    SELECT
        EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'saga_participant_inbox') AS ours,
        (SELECT group_concat(name) FROM (SELECT name FROM pragma_table_info('participant_inbox') ORDER BY cid))
            IS 'participant,action,status,deliveries,command_id,answers,undo_id,undo_answers,first_at,last_at' AS older
);

-- name: rename
ALTER TABLE participant_inbox RENAME TO saga_participant_inbox;

-- name: create
CREATE TABLE IF NOT EXISTS saga_participant_inbox (
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
INSERT INTO saga_participant_inbox (participant, action, status, deliveries, first_at, last_at)
VALUES (:participant, :action, 'new', 1, :now, :now)
ON CONFLICT (participant, action) DO UPDATE SET deliveries = saga_participant_inbox.deliveries + 1, last_at = excluded.last_at;

-- name: read
SELECT status, deliveries, command_id, answers, undo_id, undo_answers FROM saga_participant_inbox
WHERE participant = :participant AND action = :action;

-- name: record
UPDATE saga_participant_inbox
SET status = :status, command_id = :command_id, answers = :answers, undo_id = :undo_id, undo_answers = :undo_answers
WHERE participant = :participant AND action = :action;

-- name: forget
DELETE FROM saga_participant_inbox WHERE participant = :participant AND last_at < :before;

-- name: begin
-- IMMEDIATE: it waits here for its turn. One that becomes a writer only later may fail at once instead.
BEGIN IMMEDIATE;

-- name: commit
COMMIT;

-- name: end
ROLLBACK;

-- name: mark
SAVEPOINT saga_participant_inbox;

-- name: back_to_mark
ROLLBACK TO saga_participant_inbox;

-- name: unmark
RELEASE saga_participant_inbox;
