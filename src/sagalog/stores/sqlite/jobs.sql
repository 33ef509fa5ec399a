-- What the SQLite store says about bulk jobs, block by block. {saga_jobs.all} and its like are lists of columns, which
-- `stores/columns.py` writes out.

-- name: add_job
INSERT INTO saga_jobs ({saga_jobs.given}, status, sagas) VALUES ({saga_jobs.given as marks}, 'preparing', 0)
ON CONFLICT DO NOTHING;

-- name: prepared_job
SELECT sagas FROM saga_jobs WHERE job_id = ? AND status = 'preparing';

-- name: add_job_items
-- Follows prepared_job, which says after which number. The sagas come in a list that has each once.
INSERT INTO saga_job_items (job_id, number, saga_id, status)
SELECT :job_id, :sagas + row_number() OVER (ORDER BY given.key), given.value, 'pending'
FROM json_each(:saga_ids) AS given
WHERE NOT EXISTS (
    SELECT 1 FROM saga_job_items AS known WHERE known.job_id = :job_id AND known.saga_id = given.value
);

-- name: count_job_items
UPDATE saga_jobs SET sagas = sagas + ? WHERE job_id = ?;

-- name: change_job
UPDATE saga_jobs SET status = :status, why = :why, updated_at = :now
WHERE job_id = :job_id AND status IN (SELECT value FROM json_each(:expected));

-- name: job
SELECT {saga_jobs.all} FROM saga_jobs WHERE job_id = :job_id;

-- name: jobs
-- Any blob is behind every text: without `before` all ids are.
SELECT {saga_jobs.all} FROM saga_jobs
WHERE job_id < coalesce(:before, x'')
ORDER BY job_id DESC
LIMIT :limit;

-- name: job_counts
SELECT job_id, status, count(*) FROM saga_job_items
WHERE job_id IN (SELECT value FROM json_each(:job_ids))
GROUP BY job_id, status;

-- name: takeable_job
-- What take_job would take.
SELECT {saga_jobs.all} FROM saga_jobs
WHERE status = 'running' AND (
    owner IS NULL OR owner = :worker_id OR owner NOT IN (SELECT worker_id FROM saga_workers WHERE lease_until > :now)
)
ORDER BY job_id
LIMIT 1;

-- name: forget_their_runners
-- As forget_their_owners, of jobs.
DELETE FROM saga_workers
WHERE lease_until <= :now AND worker_id <> :worker_id
    AND worker_id IN (SELECT owner FROM saga_jobs WHERE status = 'running');

-- name: take_job
-- Follows forget_their_runners.
UPDATE saga_jobs SET owner = :worker_id
WHERE job_id = (
    SELECT job_id FROM saga_jobs
    WHERE status = 'running' AND (
        owner IS NULL OR owner = :worker_id OR owner NOT IN (SELECT worker_id FROM saga_workers)
    )
    ORDER BY job_id
    LIMIT 1
)
RETURNING {saga_jobs.all};

-- name: release_job
UPDATE saga_jobs SET owner = NULL WHERE owner = ? AND job_id = ?;

-- name: give_back_jobs
UPDATE saga_jobs SET owner = NULL WHERE owner = ?;

-- name: job_items
-- The first ones of each status, so that not all that wait are sorted; each status is given once.
SELECT {saga_job_items.all of item}
FROM json_each(:statuses) AS wanted CROSS JOIN saga_job_items AS item
WHERE item.job_id = :job_id AND item.number IN (
    SELECT number FROM saga_job_items
    WHERE job_id = :job_id AND status = wanted.value AND number > :after
    ORDER BY number
    LIMIT :limit
)
ORDER BY item.number
LIMIT :limit;

-- name: settle_job_item
UPDATE saga_job_items AS known SET status = new.status, text = new.text, at = new.at
FROM (
    WITH given (job_id, number, status, text, at) AS (VALUES (?, ?, ?, ?, ?)) SELECT * FROM given
) AS new
WHERE known.job_id = new.job_id AND known.number = new.number
    AND (known.status NOT IN ('well', 'failed') OR new.status IN ('well', 'failed'));
