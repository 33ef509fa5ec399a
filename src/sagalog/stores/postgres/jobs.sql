-- What the PostgreSQL store says about bulk jobs, block by block. `$1` are parameters in the order in which they are given;
-- {saga_jobs.all} and its like are lists of columns, which `stores/columns.py` writes out.

-- name: add_job
INSERT INTO saga_jobs ({saga_jobs.given}, status, sagas) VALUES ({saga_jobs.given as numbers}, 'preparing', 0)
ON CONFLICT DO NOTHING;

-- name: prepared_job
-- Locked, so that nobody else adds items, and that what follows sees all that were added before.
SELECT sagas FROM saga_jobs WHERE job_id = $1 AND status = 'preparing' FOR UPDATE;

-- name: add_job_items
-- Follows prepared_job, which says after which number. The sagas come in a list that has each once. Each is looked up by
-- itself (LIMIT 1): as a join, planned while the table is empty, all items of the job would be read for each of them.
INSERT INTO saga_job_items (job_id, number, saga_id, status)
SELECT $1::text, $2::bigint + row_number() OVER (ORDER BY given.place), given.saga_id, 'pending'
FROM unnest($3::text[]) WITH ORDINALITY AS given (saga_id, place)
WHERE (
    SELECT 1 FROM saga_job_items AS known WHERE known.job_id = $1 AND known.saga_id = given.saga_id LIMIT 1
) IS NULL;

-- name: count_job_items
UPDATE saga_jobs SET sagas = sagas + $1 WHERE job_id = $2;

-- name: change_job
UPDATE saga_jobs SET status = $2, why = $3, updated_at = $4 WHERE job_id = $1 AND status = ANY ($5::text[]);

-- name: job
SELECT {saga_jobs.all} FROM saga_jobs WHERE job_id = $1;

-- name: jobs
SELECT {saga_jobs.all} FROM saga_jobs
WHERE $2::text IS NULL OR job_id < $2
ORDER BY job_id DESC
LIMIT $1;

-- name: job_counts
SELECT job_id, status, count(*) FROM saga_job_items WHERE job_id = ANY ($1::text[]) GROUP BY job_id, status;

-- name: takeable_job
-- What take_job would take.
SELECT {saga_jobs.all} FROM saga_jobs
WHERE status = 'running' AND (
    owner IS NULL OR owner = $1
    OR NOT EXISTS (SELECT 1 FROM saga_workers WHERE worker_id = saga_jobs.owner AND lease_until > $2)
)
ORDER BY job_id
LIMIT 1;

-- name: forget_their_runners
-- As forget_their_owners, of jobs.
DELETE FROM saga_workers WHERE worker_id IN (
    SELECT worker_id FROM saga_workers
    WHERE lease_until <= $2 AND worker_id <> $1
        AND worker_id = ANY (ARRAY(SELECT owner FROM saga_jobs WHERE status = 'running'))
    FOR UPDATE SKIP LOCKED
);

-- name: take_job
-- Follows forget_their_runners. Who is dead is looked up before any row is locked, as in free_some.
WITH dead AS MATERIALIZED (
    SELECT owner FROM saga_jobs
    WHERE status = 'running' AND owner <> $1
        AND NOT EXISTS (SELECT 1 FROM saga_workers WHERE worker_id = saga_jobs.owner)
), oldest AS MATERIALIZED (
    SELECT job_id FROM saga_jobs
    WHERE status = 'running' AND (owner IS NULL OR owner = $1 OR owner IN (SELECT owner FROM dead))
    ORDER BY job_id
    LIMIT 1 FOR UPDATE
)
UPDATE saga_jobs AS known SET owner = $1 FROM oldest WHERE known.job_id = oldest.job_id
RETURNING {saga_jobs.all of known};

-- name: release_job
UPDATE saga_jobs SET owner = NULL WHERE owner = $1 AND job_id = $2;

-- name: give_back_jobs
UPDATE saga_jobs SET owner = NULL WHERE owner = $1;

-- name: job_items
-- The first ones of each status, so that not all that wait are sorted; each status is given once.
SELECT {saga_job_items.all of item}
FROM unnest($2::text[]) AS wanted (status) CROSS JOIN LATERAL (
    SELECT * FROM saga_job_items AS one
    WHERE one.job_id = $1 AND one.status = wanted.status AND one.number > $4
    ORDER BY one.number
    LIMIT $3
) AS item
ORDER BY item.number
LIMIT $3;

-- name: settle_job_item
-- Of many items; rows are locked in one order, so that two that settle the same items do not wait for each other.
UPDATE saga_job_items AS known SET status = new.status, text = new.text, at = new.at
FROM (
    SELECT given.job_id, given.number, given.status, given.text, given.at
    FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::bigint[])
        AS given (job_id, number, status, text, at)
    JOIN saga_job_items AS item ON item.job_id = given.job_id AND item.number = given.number
    ORDER BY item.job_id, item.number
    FOR UPDATE OF item
) AS new
WHERE known.job_id = new.job_id AND known.number = new.number
    AND (known.status NOT IN ('well', 'failed') OR new.status IN ('well', 'failed'));
