-- The inbox of a participant that keeps its own PostgreSQL database: one row is one action, done or not, undone or not.
-- It is written in the participant's own transaction. The key makes a command's effect unique: a second transaction with
-- the same action waits for the first. Times are microseconds since the epoch. The same columns are on SQLite.

-- name: lock
-- One process at a time makes the table of a schema; the number is "sagalog" as bytes, and counted on from there.
SELECT pg_advisory_xact_lock(32476718965747559 + oid::bigint) FROM pg_namespace WHERE nspname = current_schema();

-- name: state
-- Whose table there is: `ours`, one of an `older` release, which had no prefix, `both`, or `none`. A table of another
-- that has the older name has other columns.
SELECT CASE WHEN ours AND older THEN 'both' WHEN ours THEN 'ours' WHEN older THEN 'older' ELSE 'none' END
FROM (
    SELECT
        to_regclass('saga_participant_inbox') IS NOT NULL AS ours,
        (
            SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute
            WHERE attrelid = to_regclass('participant_inbox') AND attnum > 0 AND NOT attisdropped
        ) IS NOT DISTINCT FROM
            'participant,action,status,deliveries,command_id,answers,undo_id,undo_answers,first_at,last_at' AS older
) AS found;

-- name: rename
-- With what its constraints are called. It keeps its rows, its owner and what was granted on it.
DO '
DECLARE
    old name;
BEGIN
    ALTER TABLE participant_inbox RENAME TO saga_participant_inbox;
    FOR old IN
        SELECT conname FROM pg_constraint
        WHERE conrelid = ''saga_participant_inbox''::regclass AND starts_with(conname, ''participant_inbox_'')
    LOOP
        EXECUTE format(''ALTER TABLE saga_participant_inbox RENAME CONSTRAINT %I TO %I'', old, ''saga_'' || old);
    END LOOP;
END
';

-- name: create
CREATE TABLE IF NOT EXISTS saga_participant_inbox (
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
INSERT INTO saga_participant_inbox (participant, action, status, deliveries, first_at, last_at)
VALUES (%(participant)s, %(action)s, 'new', 1, %(now)s, %(now)s)
ON CONFLICT (participant, action) DO UPDATE SET deliveries = saga_participant_inbox.deliveries + 1, last_at = excluded.last_at;

-- name: read
SELECT status, deliveries, command_id, answers, undo_id, undo_answers FROM saga_participant_inbox
WHERE participant = %(participant)s AND action = %(action)s;

-- name: record
UPDATE saga_participant_inbox
SET status = %(status)s, command_id = %(command_id)s, answers = %(answers)s,
    undo_id = %(undo_id)s, undo_answers = %(undo_answers)s
WHERE participant = %(participant)s AND action = %(action)s;

-- name: forget
DELETE FROM saga_participant_inbox WHERE participant = %(participant)s AND last_at < %(before)s;
