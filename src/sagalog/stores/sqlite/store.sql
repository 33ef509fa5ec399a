-- What the SQLite store says to its database, block by block. `?` are parameters in the order of the text. Columns are
-- listed, so that a newer schema with one more column does not break a process that still runs: {saga_status.all} and its
-- like are lists of them, which `stores/columns.py` writes out. {matching} and its like are blocks.

-- name: encoding
PRAGMA encoding;

-- name: schema_version
SELECT max(number) FROM saga_schema;

-- name: schema_exists
SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'saga_schema';

-- name: record_migration
INSERT INTO saga_schema (number, name, applied_at) VALUES (?, ?, ?);

-- name: last_position
SELECT coalesce(max(rowid), 0) FROM saga_events;

-- name: insert_events
INSERT INTO saga_events (originator_id, originator_version, topic, state) VALUES (?, ?, ?, ?);

-- name: insert_tracking
-- This and the next are what the recorder of `eventsourcing` says, about a table with our prefix.
INSERT INTO saga_tracking VALUES (:application_name, :notification_id)
ON CONFLICT (application_name) DO UPDATE SET notification_id = :notification_id
WHERE saga_tracking.notification_id < :notification_id
RETURNING notification_id;

-- name: max_tracking_id
SELECT max(notification_id) FROM saga_tracking WHERE application_name = ?;

-- name: gate
SELECT version, owner FROM saga_status WHERE saga_id = ?;

-- name: key_taken
SELECT 1 FROM saga_status WHERE saga_name = ? AND saga_key = ? AND run = ?;

-- name: landed
SELECT topic, state FROM saga_events
WHERE originator_id = ? AND originator_version > ? AND originator_version <= ?
ORDER BY originator_version;

-- name: read
SELECT rowid, originator_id, originator_version, topic, state FROM saga_events
WHERE originator_id = :saga_id AND originator_version > :after
ORDER BY originator_version;

-- name: read_many
SELECT rowid, originator_id, originator_version, topic, state FROM saga_events
WHERE originator_id IN (SELECT value FROM json_each(:saga_ids))
ORDER BY originator_id, originator_version;

-- name: read_log
SELECT rowid, originator_id, originator_version, topic, state FROM saga_events
WHERE rowid > :after
ORDER BY rowid
LIMIT :limit;

-- name: status
SELECT {saga_status.all} FROM saga_status WHERE saga_id = :saga_id;

-- name: statuses
SELECT {saga_status.all} FROM saga_status WHERE saga_id IN (SELECT value FROM json_each(:saga_ids));

-- name: latest_run
SELECT {saga_status.all} FROM saga_status WHERE saga_name = :saga_name AND saga_key = :key ORDER BY run DESC LIMIT 1;

-- name: matching
-- Any blob is behind every text: without `before` all ids are.
(:saga_name IS NULL OR saga_name = :saga_name)
    AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
    AND (:error IS NULL OR instr(lower(error_type || ' ' || coalesce(error_text, '')), lower(:error)) > 0)
    AND (:started_before IS NULL OR started_at < :started_before)
    AND (:started_after IS NULL OR started_at >= :started_after)
    AND saga_id < coalesce(:before, x'')
    AND saga_id >= coalesce(:least, '')
    AND {filtered}

-- name: filtered
-- Stands for the filter of a query: what `stores/filtering.py` makes of one is written in its place.
(1 = 1)

-- name: find
SELECT {saga_status.all} FROM saga_status
WHERE {matching}
ORDER BY saga_id DESC
LIMIT :limit;

-- name: some_misdated
-- What makes them so is written here as in the index.
SELECT saga_id FROM saga_status INDEXED BY saga_status_misdated
WHERE (
    saga_id NOT BETWEEN
        printf('%08x-%04x', (started_at / 1000 - 5000) >> 16, (started_at / 1000 - 5000) & 65535)
        AND printf('%08x-%04x', (started_at / 1000 + 5000) >> 16, (started_at / 1000 + 5000) & 65535)
    OR started_at NOT BETWEEN 5000000 AND 281474970000000000
)
LIMIT :limit;

-- name: find_these
SELECT {saga_status.all} FROM saga_status
WHERE saga_id IN (SELECT value FROM json_each(:saga_ids)) AND {matching}
ORDER BY saga_id DESC
LIMIT :limit;

-- name: find_key
SELECT {saga_status.all} FROM saga_status
WHERE saga_key = :key AND {matching}
ORDER BY saga_id DESC
LIMIT :limit;

-- name: find_with_an_error
SELECT {saga_status.all} FROM saga_status INDEXED BY saga_status_error
WHERE error_type IS NOT NULL AND {matching}
ORDER BY saga_id DESC
LIMIT :limit;

-- name: find_open
SELECT {saga_status.all} FROM saga_status INDEXED BY saga_status_open
WHERE ended_at IS NULL AND {matching}
ORDER BY saga_id DESC
LIMIT :limit;

-- name: find_in_trouble
SELECT {saga_status.all} FROM saga_status INDEXED BY saga_status_trouble
WHERE error_type IS NOT NULL AND ended_at IS NULL AND {matching}
ORDER BY saga_id DESC
LIMIT :limit;

-- name: find_named
SELECT {saga_status.all} FROM saga_status INDEXED BY saga_status_name
WHERE saga_name = :saga_name AND {matching}
ORDER BY saga_id DESC
LIMIT :limit;

-- name: steps
SELECT {saga_steps.all} FROM saga_steps WHERE saga_id = :saga_id ORDER BY direction, ordinal;

-- name: steps_many
SELECT {saga_steps.all} FROM saga_steps
WHERE saga_id IN (SELECT value FROM json_each(:saga_ids))
ORDER BY saga_id, direction, ordinal;

-- name: counts
SELECT saga_name, status, count(*) FROM saga_status GROUP BY saga_name, status ORDER BY saga_name, status;

-- name: unloaded
-- Steps from definition to definition, which says the name and the version: only what is found is counted.
WITH RECURSIVE open (definition) AS (
    SELECT min(definition) FROM saga_status INDEXED BY saga_status_definition WHERE ended_at IS NULL
    UNION ALL
    SELECT (
        SELECT min(definition) FROM saga_status INDEXED BY saga_status_definition
        WHERE ended_at IS NULL AND definition > open.definition
    )
    FROM open WHERE open.definition IS NOT NULL
), found AS MATERIALIZED (
    SELECT
        (
            SELECT saga_id FROM saga_status INDEXED BY saga_status_definition
            WHERE ended_at IS NULL AND definition = open.definition LIMIT 1
        ) AS example,
        (
            SELECT count(*) FROM saga_status INDEXED BY saga_status_definition
            WHERE ended_at IS NULL AND definition = open.definition
        ) AS sagas
    FROM open
    WHERE definition IS NOT NULL AND definition NOT IN (SELECT value FROM json_each(:definitions))
)
SELECT saga_name, saga_version, definition, sagas FROM found CROSS JOIN saga_status ON saga_id = example
ORDER BY saga_name, saga_version, definition;

-- name: register
INSERT OR REPLACE INTO saga_workers (worker_id, host, pid, started_at, lease_until, lease_length, life_lock)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: life_locks
SELECT life_lock FROM saga_workers WHERE life_lock IS NOT NULL;

-- name: leases
SELECT worker_id, lease_until, lease_length FROM saga_workers;

-- name: end_lease
DELETE FROM saga_workers WHERE worker_id = ? AND lease_until = ?;

-- name: renew
UPDATE saga_workers SET lease_until = ? WHERE worker_id = ?;

-- name: of_these
-- Mail may be older than its saga, and then it names no definition.
(SELECT value FROM json_each(:definitions) UNION ALL SELECT '')

-- name: renew_with_a_sign
UPDATE saga_workers SET lease_until = ?, life_lock = ? WHERE worker_id = ?;

-- name: anything_due
SELECT EXISTS (
    SELECT 1 FROM json_each(:definitions) AS loaded CROSS JOIN saga_status INDEXED BY saga_status_due
    WHERE definition = loaded.value AND owner IS NULL AND due_at IS NOT NULL AND due_at <= :now
        AND saga_id NOT IN (SELECT value FROM json_each(:but))
) OR EXISTS (
    SELECT 1 FROM {of_these} AS loaded CROSS JOIN saga_inbox AS first INDEXED BY saga_inbox_sagas
        CROSS JOIN saga_status AS free ON saga_id = first.recipient
    WHERE first.definition = loaded.value AND first.behind = 0 AND owner IS NULL
        AND free.definition IN (SELECT value FROM json_each(:definitions))
        AND saga_id NOT IN (SELECT value FROM json_each(:but))
);

-- name: dead_workers
-- Also owners without a lease: a worker that was not told yet may begin a saga after its lease was taken away.
WITH RECURSIVE owners (owner) AS (
    SELECT min(owner) FROM saga_status WHERE owner IS NOT NULL
    UNION ALL
    SELECT (SELECT min(owner) FROM saga_status WHERE owner IS NOT NULL AND owner > owners.owner)
    FROM owners WHERE owner IS NOT NULL
)
SELECT owner FROM owners WHERE owner IS NOT NULL AND owner NOT IN (SELECT worker_id FROM saga_workers)
UNION
SELECT worker_id FROM saga_workers WHERE lease_until <= ?;

-- name: anything_lost
-- The second part steps from owner to owner through the index instead of reading every owned saga. Beside the answer
-- stand some workers that may show a sign of life: those after :near by name, then the first ones, so that in a large
-- fleet each is looked at by a few.
SELECT lost, worker_id, lease_until, lease_length, host, pid, life_lock
FROM (
    SELECT EXISTS (SELECT 1 FROM saga_workers WHERE lease_until <= :now) OR EXISTS (
        WITH RECURSIVE owners (owner) AS (
            SELECT min(owner) FROM saga_status WHERE owner IS NOT NULL
            UNION ALL
            SELECT (SELECT min(owner) FROM saga_status WHERE owner IS NOT NULL AND owner > owners.owner)
            FROM owners WHERE owner IS NOT NULL
        )
        SELECT 1 FROM owners WHERE owner IS NOT NULL AND owner NOT IN (SELECT worker_id FROM saga_workers)
            AND EXISTS (
                SELECT 1 FROM saga_status AS saga
                WHERE saga.owner = owners.owner AND saga_id NOT IN (SELECT value FROM json_each(:but))
            )
    ) AS lost
) LEFT JOIN (
    SELECT worker_id, lease_until, lease_length, host, pid, life_lock FROM saga_workers
    WHERE life_lock IS NOT NULL AND worker_id <> :near
    ORDER BY worker_id < :near, worker_id
    LIMIT 16
);

-- name: lost
-- Sagas of owners whose lease is over, or who have none.
WITH RECURSIVE owners (owner) AS (
    SELECT min(owner) FROM saga_status WHERE owner IS NOT NULL
    UNION ALL
    SELECT (SELECT min(owner) FROM saga_status WHERE owner IS NOT NULL AND owner > owners.owner)
    FROM owners WHERE owner IS NOT NULL
)
SELECT one.value AS saga_id
FROM owners CROSS JOIN json_each((
    SELECT json_group_array(saga_id) FROM (
        SELECT saga_id FROM saga_status INDEXED BY saga_status_owner
        WHERE owner = owners.owner AND saga_id NOT IN (SELECT value FROM json_each(:but))
        LIMIT :limit
    )
)) AS one
WHERE owners.owner IS NOT NULL AND owners.owner NOT IN (SELECT worker_id FROM saga_workers WHERE lease_until > :now)
LIMIT :limit;

-- name: forget_their_owners
-- First of every transaction that takes sagas from a dead worker: with the first it loses the lease, so that it is told.
DELETE FROM saga_workers
WHERE lease_until <= :now
    AND worker_id IN (SELECT owner FROM saga_status WHERE saga_id IN (SELECT value FROM json_each(:saga_ids)));

-- name: free_these
-- Follows forget_their_owners.
UPDATE saga_status SET owner = NULL
WHERE saga_id IN (SELECT value FROM json_each(:saga_ids)) AND owner IS NOT NULL
    AND owner NOT IN (SELECT worker_id FROM saga_workers);

-- name: owned
SELECT saga_id FROM saga_status WHERE owner = :worker_id;

-- name: give_back_consumers
UPDATE saga_consumers SET owner = NULL WHERE owner = ?;

-- name: give_back_some
UPDATE saga_status SET owner = NULL
WHERE saga_id IN (
    SELECT saga_id FROM saga_status WHERE owner = ? AND saga_id NOT IN (SELECT value FROM json_each(?)) LIMIT ?
);

-- name: forget_worker
DELETE FROM saga_workers WHERE worker_id = ?;

-- name: due
-- The first ones of each definition, so that not all that are due are sorted. Those of `but` are left to others.
SELECT {saga_status.all of s} FROM json_each(:definitions) AS loaded CROSS JOIN saga_status AS s
WHERE s.saga_id IN (
    SELECT saga_id FROM saga_status INDEXED BY saga_status_due
    WHERE definition = loaded.value AND owner IS NULL AND due_at IS NOT NULL AND due_at <= :now
        AND saga_id NOT IN (SELECT value FROM json_each(:but))
    ORDER BY due_at, saga_id
    LIMIT :limit
)
ORDER BY s.due_at, s.saga_id
LIMIT :limit;

-- name: with_mail
-- Whatever their status is: what has come for a saga that has ended is recorded too. Only the first row of each inbox is
-- looked at, and by definition as in `due`.
SELECT {saga_status.all of s}
FROM {of_these} AS loaded CROSS JOIN json_each((
    SELECT json_group_array(json_array(recipient, position)) FROM (
        SELECT recipient, first.position
        FROM saga_inbox AS first INDEXED BY saga_inbox_sagas CROSS JOIN saga_status AS free ON saga_id = recipient
        WHERE first.definition = loaded.value AND first.behind = 0 AND free.owner IS NULL
            AND free.definition IN (SELECT value FROM json_each(:definitions))
            AND saga_id NOT IN (SELECT value FROM json_each(:but))
        ORDER BY first.position, recipient
        LIMIT :limit
    )
)) AS mail CROSS JOIN saga_status AS s ON s.saga_id = mail.value ->> 0
ORDER BY mail.value ->> 1, s.saga_id
LIMIT :limit;

-- name: take
UPDATE saga_status SET owner = ? WHERE saga_id IN (SELECT value FROM json_each(?));

-- name: taken
-- Those of these that a worker owns: a trigger may have left one as it was. `+` keeps the index of owners out of it, since
-- a worker owns thousands.
SELECT saga_id FROM saga_status WHERE +owner = ? AND saga_id IN (SELECT value FROM json_each(?));

-- name: claim_one
UPDATE saga_status SET owner = :worker_id
WHERE saga_id = :saga_id
    AND (owner IS NULL OR owner = :worker_id OR owner NOT IN (SELECT worker_id FROM saga_workers));

-- name: give_back
UPDATE saga_status SET owner = NULL WHERE +owner = ? AND saga_id IN (SELECT value FROM json_each(?));

-- name: give_back_all
UPDATE saga_status SET owner = NULL WHERE owner = ?;

-- name: rewrite_status
UPDATE saga_status AS saga SET {saga_status.computed from new}
FROM (
    WITH given (saga_id, {saga_status.computed}) AS (VALUES (?, {saga_status.computed as marks})) SELECT * FROM given
) AS new
WHERE saga.saga_id = new.saga_id;

-- name: forget_steps
DELETE FROM saga_steps WHERE saga_id IN (SELECT value FROM json_each(?));

-- name: rewrite_step
INSERT INTO saga_steps ({saga_steps.all}) VALUES ({saga_steps.all as marks});
