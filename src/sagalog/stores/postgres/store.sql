-- What the PostgreSQL store says to its database, block by block. `$1` are parameters in the order in which they are given.
-- {saga_status.all} and its like are lists of columns, which `stores/columns.py` writes out: they are listed, so that a
-- newer schema with one more column does not break a process that still runs. {due_rows} and its like are blocks.

-- name: session
-- Limits that the server keeps even if this process is gone: a dead client must not hold the lock of the log for long.
SELECT
    set_config('statement_timeout', $1, false),
    set_config('idle_in_transaction_session_timeout', $1, false),
    set_config('tcp_user_timeout', $1, false),
    set_config('tcp_keepalives_idle', '5', false),
    set_config('tcp_keepalives_interval', '2', false),
    set_config('tcp_keepalives_count', '3', false),
    set_config('default_transaction_isolation', 'read committed', false);

-- name: session_on_17
-- Newer servers end a transaction whose client stopped in the middle of a request; older ones wait for the keepalives.
SELECT set_config(name, $1, false) FROM pg_settings WHERE name = 'transaction_timeout';

-- name: reader_session
-- What is read all the time is read through indexes, whatever the planner believes of tables that are empty one moment and
-- full the next. A forbidden scan that cannot be avoided looks expensive to older servers: they would compile it each time.
-- A bitmap has no order, so all that matches would be sorted where the first few in the order of an index are wanted.
SELECT
    set_config('enable_seqscan', 'off', false),
    set_config('enable_bitmapscan', 'off', false),
    set_config('jit', 'off', false);

-- name: scans_allowed
-- For the rest of the transaction: what is asked by a person may well read a whole table.
SELECT
    set_config('enable_seqscan', 'on', true), set_config('enable_bitmapscan', 'on', true), set_config('jit', 'on', true);

-- name: writer_session
-- The writer's statements go through indexes. A plan that was made when a table was small and read it whole would be
-- kept while the table grows to millions of rows.
SELECT
    set_config('jit', 'off', false),
    set_config('enable_seqscan', 'off', false),
    set_config('enable_bitmapscan', 'off', false),
    set_config('enable_hashjoin', 'off', false),
    set_config('enable_mergejoin', 'off', false),
    set_config('plan_cache_mode', 'force_generic_plan', false);

-- name: durability
SELECT current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes');

-- name: current_schema
SELECT current_schema();

-- name: backend
SELECT pg_backend_pid();

-- name: life_session
-- The client gives up a network that swallows everything before the server does: it knows first that its lock is lost. And
-- a session that does nothing is what is wanted.
SELECT set_config(
    name,
    CASE name WHEN 'tcp_keepalives_idle' THEN '15' WHEN 'tcp_keepalives_interval' THEN '5' ELSE '0' END,
    false
) FROM pg_settings
WHERE name IN ('idle_session_timeout', 'tcp_keepalives_idle', 'tcp_keepalives_interval', 'tcp_user_timeout');

-- name: lock_life
-- The first number is that of the table, so that each schema has locks of its own, and a person finds them in pg_locks.
SELECT pg_try_advisory_lock('saga_workers'::regclass::oid::int, $1::int);

-- name: schema_exists
SELECT to_regclass('saga_schema') IS NOT NULL;

-- name: schema_version
SELECT coalesce(max(number), 0) FROM saga_schema;

-- name: no_timeout
-- A statement of a migration may take as long as it takes. Between two of them there is nothing to wait for: a client that
-- is silent for so long was stopped, and everybody else waits for what it has locked.
SELECT set_config(
    name, CASE name WHEN 'idle_in_transaction_session_timeout' THEN '60s' ELSE '0' END, false
) FROM pg_settings
WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout');

-- name: try_lock_schema
-- One process at a time changes the tables of a schema; the number is "sagalog" as bytes, and counted on from there. It
-- is asked for again and again, so that nobody waits within a statement that has no limit.
SELECT pg_try_advisory_xact_lock(32476718965747559 + oid::bigint)
FROM pg_namespace WHERE nspname = current_schema();

-- name: who_locks_schema
-- Who changes the tables now; what others of another role do may not be seen.
SELECT locks.pid, activity.application_name, activity.state, host(activity.client_addr)
FROM pg_locks AS locks JOIN pg_namespace ON nspname = current_schema()
LEFT JOIN pg_stat_activity AS activity USING (pid)
WHERE locks.locktype = 'advisory' AND locks.granted AND locks.objsubid = 1
    AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (locks.classid::bigint << 32 | locks.objid::bigint) = 32476718965747559 + pg_namespace.oid::bigint
LIMIT 1;

-- name: record_migration
INSERT INTO saga_schema (number, name, applied_at) VALUES ($1, $2, $3);

-- name: begin
BEGIN;

-- name: commit
COMMIT;

-- name: rollback
ROLLBACK;

-- name: begin_read_only
BEGIN READ ONLY;

-- name: select_session
-- For SQL of a user. Times are written as everywhere: in UTC, by ISO 8601. The whole answer is wanted, not its first rows.
-- The transaction is begun as one that reads; that any other would be, too, is a second wall.
SELECT
    set_config('default_transaction_read_only', 'on', false),
    set_config('DateStyle', 'ISO, YMD', false),
    set_config('IntervalStyle', 'iso_8601', false),
    set_config('TimeZone', 'UTC', false),
    set_config('extra_float_digits', '1', false),
    set_config('bytea_output', 'hex', false),
    set_config('cursor_tuple_fraction', '1', false);

-- name: select
-- The SQL follows. As the query of a cursor it cannot be anything but a query: that is the grammar's, and nobody looks at it.
DECLARE saga_select NO SCROLL CURSOR FOR;

-- name: select_page
FETCH %d FROM saga_select;

-- name: lock_log
-- One transaction at a time writes the log, so that positions are in the order of commits and no reader skips one.
LOCK TABLE saga_events IN EXCLUSIVE MODE;

-- name: rows_soon
-- For the rest of the transaction: it holds the lock of the log, or others of its process wait for it, so a row that
-- somebody has locked for long must not be waited for. The log itself is waited for as long as any statement.
SET LOCAL lock_timeout = '200ms';

-- name: begin_part
SAVEPOINT saga_part;

-- name: end_part
RELEASE SAVEPOINT saga_part;

-- name: undo_part
ROLLBACK TO SAVEPOINT saga_part;

-- name: notify
-- A channel is one for the whole database, so the table's number is in its name: it tells schemas apart.
SELECT pg_notify('saga_events_' || 'saga_events'::regclass::oid, $1);

-- name: notify_everybody
SELECT pg_notify('saga_events_' || 'saga_events'::regclass::oid, '');

-- name: listen
DO 'BEGIN EXECUTE ''LISTEN saga_events_'' || ''saga_events''::regclass::oid; END';

-- name: insert_events
-- Run by the recorder's own cursor, so its parameters are `%b`.
INSERT INTO saga_events (originator_id, originator_version, topic, state)
SELECT * FROM unnest(%b::text[], %b::bigint[], %b::text[], %b::bytea[])
RETURNING notification_id;

-- name: append
-- A whole batch of decisions: `starting` is one row for each saga that begins, as it is to be in saga_status, `moving`
-- one for each that goes on, with the columns that change. The positions are drawn first, for all events; `last_event` is the ordinal, in the batch, of an append's last event. The gate is the status
-- row: only what is a new key, or is at the expected version and held by the expected worker, passes, and only what
-- has passed is logged. `(... IN ...) IS TRUE` is looked up in a hash table; without it the planner joins row by row.
WITH starting AS MATERIALIZED (
    SELECT * FROM unnest({saga_status.given as arrays}, $5::bigint[]) AS starting ({saga_status.given}, last_event)
), moving AS MATERIALIZED (
    SELECT * FROM unnest({saga_status.changing as arrays}, $6::text[], $7::bigint[], $8::text[], $9::bigint[])
        AS moving ({saga_status.changing}, saga_id, expected, holder, last_event)
), positions AS MATERIALIZED (
    SELECT array_agg(nextval('saga_events_notification_id_seq')) AS drawn
    FROM generate_series(1, cardinality($2::bigint[]))
), started AS (
    INSERT INTO saga_status ({saga_status.given}, position)
    SELECT {saga_status.given}, (SELECT drawn[last_event] FROM positions)
    FROM starting
    ON CONFLICT DO NOTHING
    RETURNING saga_id
), moved AS (
    UPDATE saga_status AS saga SET
        {saga_status.changing from moving}, position = (SELECT drawn[last_event] FROM positions)
    FROM moving
    WHERE saga.saga_id = moving.saga_id AND saga.version = moving.expected
        AND saga.owner IS NOT DISTINCT FROM moving.holder
    RETURNING saga.saga_id
), passed AS MATERIALIZED (
    SELECT saga_id FROM started UNION ALL SELECT saga_id FROM moved
), logged AS (
    INSERT INTO saga_events (originator_id, originator_version, topic, state, notification_id)
    SELECT saga_id, version, topic, state, (SELECT drawn[ordinal] FROM positions)
    FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bytea[]) WITH ORDINALITY
        AS event (saga_id, version, topic, state, ordinal)
    WHERE (saga_id IN (SELECT saga_id FROM passed)) IS TRUE
), stepped AS (
    INSERT INTO saga_steps ({saga_steps.given}, position)
    SELECT {saga_steps.given}, (SELECT drawn[last_event] FROM positions)
    FROM unnest({saga_steps.given as arrays}, $10::bigint[]) AS step ({saga_steps.given}, last_event)
    WHERE (saga_id IN (SELECT saga_id FROM passed)) IS TRUE
    ON CONFLICT (saga_id, step, direction) DO UPDATE SET
        {saga_steps.changing from excluded}, position = excluded.position
)
SELECT saga_id FROM passed;

-- name: not_locked
-- Those of these sagas whose status rows nobody else has locked.
SELECT saga_id FROM saga_status WHERE saga_id = ANY ($1::text[]) FOR UPDATE SKIP LOCKED;

-- name: landed
-- The events in the places where appends that did not pass would have put theirs.
SELECT originator_id, originator_version, topic, state
FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS place (saga_id, after, last)
JOIN saga_events ON originator_id = saga_id AND originator_version > after AND originator_version <= last
ORDER BY originator_id, originator_version;

-- name: read
SELECT notification_id, originator_id, originator_version, topic, state FROM saga_events
WHERE originator_id = $1 AND originator_version > $2
ORDER BY originator_version;

-- name: read_many
SELECT notification_id, originator_id, originator_version, topic, state FROM saga_events
WHERE originator_id = ANY ($1::text[])
ORDER BY originator_id, originator_version;

-- name: last_position
SELECT coalesce(max(notification_id), 0) FROM saga_events;

-- name: read_log
SELECT notification_id, originator_id, originator_version, topic, state FROM saga_events
WHERE notification_id > $1
ORDER BY notification_id
LIMIT $2;

-- name: status
SELECT {saga_status.all} FROM saga_status WHERE saga_id = $1;

-- name: statuses
SELECT {saga_status.all} FROM saga_status WHERE saga_id = ANY ($1::text[]);

-- name: latest_run
SELECT {saga_status.all} FROM saga_status WHERE saga_name = $1 AND saga_key = $2 ORDER BY run DESC LIMIT 1;

-- name: matching
($1::text IS NULL OR saga_name = $1)
    AND ($2::text[] IS NULL OR status = ANY ($2))
    AND ($3::text IS NULL OR strpos(
        lower((error_type || ' ' || coalesce(error_text, '')) COLLATE "C"), lower($3 COLLATE "C")
    ) > 0)
    AND ($4::bigint IS NULL OR started_at < $4)
    AND ($5::bigint IS NULL OR started_at >= $5)
    AND ($6::text IS NULL OR saga_id < $6)
    AND ($7::text IS NULL OR saga_id >= $7)
    AND {filtered}

-- name: filtered
-- Stands for the filter of a query: what `stores/filtering.py` makes of one is written in its place.
(1 = 1)

-- name: find
-- Planned for the values at hand: what is not asked for falls away, and $9 (none of these has ended) and $10 (each of
-- these has an error) let small indexes be used that hold no saga which completed.
SELECT {saga_status.all} FROM saga_status
WHERE {matching}
    AND (NOT $9::boolean OR ended_at IS NULL)
    AND (NOT $10::boolean OR error_type IS NOT NULL)
ORDER BY saga_id DESC
LIMIT $8;

-- name: some_misdated
-- What makes them so is written here as in the index.
SELECT saga_id FROM saga_status
WHERE (
    saga_id NOT BETWEEN
        lpad(to_hex((started_at / 1000 - 5000) >> 16), 8, '0') || '-'
            || lpad(to_hex((started_at / 1000 - 5000) & 65535), 4, '0')
        AND lpad(to_hex((started_at / 1000 + 5000) >> 16), 8, '0') || '-'
            || lpad(to_hex((started_at / 1000 + 5000) & 65535), 4, '0')
    OR started_at NOT BETWEEN 5000000 AND 281474970000000000
)
LIMIT $1;

-- name: find_these
SELECT {saga_status.all} FROM saga_status
WHERE saga_id = ANY ($9::text[]) AND {matching}
ORDER BY saga_id DESC
LIMIT $8;

-- name: find_key
-- The few sagas of a key first (OFFSET 0 keeps the planner from walking through all sagas, newest first, instead).
SELECT {saga_status.all} FROM (SELECT * FROM saga_status WHERE saga_key = $9 OFFSET 0) AS saga_status
WHERE {matching}
ORDER BY saga_id DESC
LIMIT $8;

-- name: steps
SELECT {saga_steps.all} FROM saga_steps WHERE saga_id = $1 ORDER BY direction, ordinal;

-- name: steps_many
SELECT {saga_steps.all} FROM saga_steps
WHERE saga_id = ANY ($1::text[])
ORDER BY saga_id, direction, ordinal;

-- name: counts
SELECT saga_name, status, count(*) FROM saga_status GROUP BY saga_name, status ORDER BY saga_name, status;

-- name: unloaded
-- Steps from definition to definition, which says the name and the version: only what is found is counted.
WITH RECURSIVE open (definition) AS (
    (SELECT definition FROM saga_status WHERE ended_at IS NULL ORDER BY definition LIMIT 1)
    UNION ALL
    SELECT (
        SELECT saga.definition FROM saga_status AS saga
        WHERE saga.ended_at IS NULL AND saga.definition > open.definition
        ORDER BY saga.definition
        LIMIT 1
    )
    FROM open WHERE open.definition IS NOT NULL
)
SELECT example.saga_name, example.saga_version, open.definition, counted.sagas
FROM open CROSS JOIN LATERAL (
    SELECT saga.saga_name, saga.saga_version FROM saga_status AS saga
    WHERE saga.ended_at IS NULL AND saga.definition = open.definition
    LIMIT 1
) AS example CROSS JOIN LATERAL (
    SELECT count(*) AS sagas FROM saga_status AS saga
    WHERE saga.ended_at IS NULL AND saga.definition = open.definition
) AS counted
WHERE open.definition <> ALL ($1::text[])
ORDER BY example.saga_name, example.saga_version, open.definition;

-- name: register
INSERT INTO saga_workers (worker_id, host, pid, started_at, lease_until, lease_length)
VALUES ($1, $2, $3, $4, $5, $5 - $4)
ON CONFLICT (worker_id) DO UPDATE SET
    host = excluded.host, pid = excluded.pid, started_at = excluded.started_at, lease_until = excluded.lease_until,
    lease_length = excluded.lease_length, life_lock = NULL;

-- name: show_life
UPDATE saga_workers SET life_lock = $1 WHERE worker_id = $2;

-- name: renew_without_a_sign
-- Until another lock is held only the lease tells.
UPDATE saga_workers SET lease_until = $1, life_lock = NULL WHERE worker_id = $2;

-- name: renew
UPDATE saga_workers SET lease_until = $1 WHERE worker_id = $2;

-- name: leases
SELECT worker_id, lease_until, lease_length FROM saga_workers ORDER BY worker_id;

-- name: end_lease
DELETE FROM saga_workers WHERE worker_id = $1 AND lease_until = $2;

-- name: forget_the_dead
-- First of every transaction that takes what a dead worker owns: with the first thing it loses the lease, so that it is
-- told. A worker that renews at this moment waits, and is then told as well. Its consumers are left to those who want
-- them.
DELETE FROM saga_workers WHERE worker_id IN (
    SELECT worker_id FROM saga_workers WHERE lease_until <= $1 FOR UPDATE SKIP LOCKED
);

-- name: forget_their_owners
-- As forget_the_dead, but only those who own one of these sagas: what is wrong with another's row is of no interest.
DELETE FROM saga_workers WHERE worker_id IN (
    SELECT worker_id FROM saga_workers
    WHERE lease_until <= $1 AND worker_id = ANY (ARRAY(SELECT owner FROM saga_status WHERE saga_id = ANY ($2::text[])))
    FOR UPDATE SKIP LOCKED
);

-- name: anything_lost
-- Whether free_some or forget_the_dead would find anything, but sagas of $2; it steps from owner to owner as they do.
-- Beside the answer stand those of some workers whose sign of life is gone: of those after $3 by name, then the first
-- ones, so that in a large fleet each is looked at by a few. Whose lock can be had, if only for this transaction, has it no
-- longer; two who look do not hinder each other.
WITH RECURSIVE owners (owner) AS (
    SELECT min(owner) FROM saga_status WHERE owner IS NOT NULL
    UNION ALL
    SELECT (SELECT min(saga.owner) FROM saga_status AS saga WHERE saga.owner IS NOT NULL AND saga.owner > owners.owner)
    FROM owners WHERE owners.owner IS NOT NULL
), near AS MATERIALIZED (
    SELECT worker_id, lease_until, lease_length, host, pid, life_lock FROM saga_workers
    WHERE life_lock IS NOT NULL AND worker_id <> $3
    ORDER BY worker_id < $3, worker_id
    LIMIT 16
), silent AS MATERIALIZED (
    SELECT worker_id, lease_until, lease_length, host, pid FROM near
    WHERE pg_try_advisory_xact_lock_shared('saga_workers'::regclass::oid::int, life_lock::int)
)
SELECT found.lost, silent.worker_id, silent.lease_until, silent.lease_length, silent.host, silent.pid
FROM (
    SELECT EXISTS (SELECT 1 FROM saga_workers WHERE lease_until <= $1) OR EXISTS (
        SELECT 1 FROM owners
        WHERE owner IS NOT NULL AND NOT EXISTS (SELECT 1 FROM saga_workers WHERE worker_id = owners.owner)
            AND EXISTS (
                SELECT 1 FROM saga_status AS saga WHERE saga.owner = owners.owner AND saga.saga_id <> ALL ($2::text[])
            )
    ) AS lost
) AS found LEFT JOIN silent ON true;

-- name: free_some
-- Sagas of owners without a lease: of the dead, and of a worker that was not told yet and began one since. `owners`
-- steps from owner to owner through the index instead of reading every owned saga.
WITH RECURSIVE owners (owner) AS (
    SELECT min(owner) FROM saga_status WHERE owner IS NOT NULL
    UNION ALL
    SELECT (SELECT min(saga.owner) FROM saga_status AS saga WHERE saga.owner IS NOT NULL AND saga.owner > owners.owner)
    FROM owners WHERE owners.owner IS NOT NULL
), dead AS MATERIALIZED (
    -- Before any row is locked: sagas of the living must not be touched.
    SELECT owner FROM owners
    WHERE owner IS NOT NULL AND NOT EXISTS (SELECT 1 FROM saga_workers WHERE worker_id = owners.owner)
), lost AS MATERIALIZED (
    SELECT found.saga_id
    FROM dead CROSS JOIN LATERAL (
        SELECT saga.saga_id FROM saga_status AS saga
        WHERE saga.owner = dead.owner AND saga.saga_id <> ALL ($2::text[])
        LIMIT $1 FOR UPDATE SKIP LOCKED
    ) AS found
)
UPDATE saga_status AS saga SET owner = NULL FROM lost WHERE saga.saga_id = lost.saga_id;

-- name: lost
-- Some sagas of each owner whose lease is over, or who has none.
WITH RECURSIVE owners (owner) AS (
    SELECT min(owner) FROM saga_status WHERE owner IS NOT NULL
    UNION ALL
    SELECT (SELECT min(saga.owner) FROM saga_status AS saga WHERE saga.owner IS NOT NULL AND saga.owner > owners.owner)
    FROM owners WHERE owners.owner IS NOT NULL
)
SELECT found.saga_id
FROM owners CROSS JOIN LATERAL (
    SELECT saga.saga_id FROM saga_status AS saga
    WHERE saga.owner = owners.owner AND saga.saga_id <> ALL ($3::text[])
    LIMIT $2
) AS found
WHERE NOT EXISTS (SELECT 1 FROM saga_workers WHERE worker_id = owners.owner AND lease_until > $1);

-- name: free_these
-- Follows forget_their_owners. Whoever takes one between the look and the lock has a lease that was not looked for.
WITH lost AS MATERIALIZED (
    SELECT saga_id, owner FROM saga_status
    WHERE saga_id = ANY ($1::text[]) AND owner IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM saga_workers WHERE worker_id = saga_status.owner)
)
UPDATE saga_status AS saga SET owner = NULL FROM lost WHERE saga.saga_id = lost.saga_id AND saga.owner = lost.owner;

-- name: due
-- What claim would find that is due.
SELECT found.saga_id
FROM unnest($1::text[]) AS loaded (definition) CROSS JOIN LATERAL (
    SELECT saga.saga_id, saga.due_at FROM saga_status AS saga
    WHERE saga.definition = loaded.definition AND saga.owner IS NULL AND saga.due_at IS NOT NULL AND saga.due_at <= $2
        AND saga.saga_id <> ALL ($4::text[])
    ORDER BY saga.due_at
    LIMIT $3
) AS found
ORDER BY found.due_at, found.saga_id
LIMIT $3;

-- name: with_mail
-- What claim would find that has mail. Mail may be older than its saga, and then it names no definition.
SELECT saga_id
FROM unnest($1::text[] || ''::text) AS loaded (definition) CROSS JOIN LATERAL (
    SELECT found.saga_id, mail.position
    FROM (
        SELECT recipient, position FROM saga_inbox AS first
        WHERE first.definition = loaded.definition AND first.behind = 0
        ORDER BY first.position, first.recipient
    ) AS mail CROSS JOIN LATERAL (
        SELECT saga.saga_id FROM saga_status AS saga
        WHERE saga.saga_id = mail.recipient AND saga.owner IS NULL AND saga.definition = ANY ($1::text[])
            AND saga.saga_id <> ALL ($3::text[])
        LIMIT 1
    ) AS found
    LIMIT $2
) AS each_one
ORDER BY position, saga_id
LIMIT $2;

-- name: due_rows
-- One look into the index for each definition: sagas that wait for a definition which nobody has cost nothing. Those of
-- $5 are left to others.
SELECT found.saga_id, found.due_at
FROM unnest($1::text[]) AS loaded (definition) CROSS JOIN LATERAL (
    SELECT saga.saga_id, saga.due_at FROM saga_status AS saga
    WHERE saga.definition = loaded.definition AND saga.owner IS NULL AND saga.due_at IS NOT NULL AND saga.due_at <= $2
        AND saga.saga_id <> ALL ($5::text[])
    ORDER BY saga.due_at
    LIMIT $3 FOR UPDATE SKIP LOCKED
) AS found

-- name: claim_due
WITH due AS MATERIALIZED (
    {due_rows}
), oldest AS MATERIALIZED (
    SELECT saga_id AS oldest_id FROM due ORDER BY due_at, saga_id LIMIT $3
)
UPDATE saga_status SET owner = $4 FROM oldest WHERE saga_id = oldest_id
RETURNING {saga_status.all};

-- name: claim
-- Those that are due, and then those that have mail, whatever their status is: what has come for a saga that has ended
-- is recorded too.
WITH due AS MATERIALIZED (
    {due_rows}
), mailed AS MATERIALIZED (
    -- Only the first row of each inbox is looked at, and by definition as in due_rows.
    SELECT each_one.saga_id, each_one.place
    FROM unnest($1::text[] || ''::text) AS loaded (definition) CROSS JOIN LATERAL (
        SELECT found.saga_id, mail.position AS place
        FROM (
            SELECT recipient, position FROM saga_inbox AS first
            WHERE first.definition = loaded.definition AND first.behind = 0
            ORDER BY first.position, first.recipient
        ) AS mail CROSS JOIN LATERAL (
            SELECT saga.saga_id FROM saga_status AS saga
            WHERE saga.saga_id = mail.recipient AND saga.owner IS NULL AND saga.definition = ANY ($1::text[])
                AND saga.saga_id <> ALL ($5::text[])
            LIMIT 1 FOR UPDATE SKIP LOCKED
        ) AS found
        LIMIT $3
    ) AS each_one
), oldest AS MATERIALIZED (
    SELECT saga_id AS oldest_id
    FROM (
        SELECT saga_id, 1 AS turn, due_at AS place FROM due
        UNION ALL
        SELECT saga_id, 2, place FROM mailed WHERE (saga_id IN (SELECT saga_id FROM due)) IS NOT TRUE
    ) AS found
    ORDER BY turn, place, saga_id
    LIMIT $3
)
UPDATE saga_status SET owner = $4 FROM oldest WHERE saga_id = oldest_id
RETURNING {saga_status.all};

-- name: claim_one
-- Follows forget_their_owners. Whoever takes the saga between the look and the lock has a lease that was not looked for.
WITH free AS MATERIALIZED (
    SELECT saga_id, owner FROM saga_status
    WHERE saga_id = $2 AND (
        owner IS NULL OR owner = $1 OR NOT EXISTS (SELECT 1 FROM saga_workers WHERE worker_id = saga_status.owner)
    )
)
UPDATE saga_status AS saga SET owner = $1 FROM free
WHERE saga.saga_id = free.saga_id AND saga.owner IS NOT DISTINCT FROM free.owner;

-- name: owned
SELECT saga_id FROM saga_status WHERE owner = $1;

-- name: give_back
UPDATE saga_status SET owner = NULL WHERE owner = $1 AND saga_id = ANY ($2::text[]);

-- name: give_back_all
UPDATE saga_status SET owner = NULL WHERE owner = $1;

-- name: give_back_consumers
UPDATE saga_consumers SET owner = NULL WHERE owner = $1;

-- name: forget_worker
DELETE FROM saga_workers WHERE worker_id = $1;

-- name: rewrite_status
UPDATE saga_status AS saga SET {saga_status.computed from given}
FROM unnest($1::text[], {saga_status.computed as arrays}) AS given (saga_id, {saga_status.computed})
WHERE saga.saga_id = given.saga_id;

-- name: forget_steps
DELETE FROM saga_steps WHERE saga_id = ANY ($1::text[]);

-- name: rewrite_step
INSERT INTO saga_steps ({saga_steps.all}) SELECT * FROM unnest({saga_steps.all as arrays});
