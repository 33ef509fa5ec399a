-- Bulk jobs on PostgreSQL: what people ask of many sagas, each of which is acted on once.
-- Columns are a contract, documented in docs/reference/sql.md and the same on SQLite. Times are microseconds since the epoch.

CREATE TABLE saga_jobs (
    job_id text COLLATE "C" NOT NULL PRIMARY KEY,
    verb text NOT NULL,
    -- what is asked of each saga, as JSON
    act text NOT NULL,
    -- what the sagas were chosen by
    filter text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    -- 'preparing', 'running', 'paused', 'stopped' or 'done'
    status text NOT NULL,
    -- why it has that status, if anybody said so
    why text,
    -- how many go first
    canary bigint NOT NULL,
    -- the most in a second
    rate double precision,
    -- so many failures stop it
    stop_after bigint NOT NULL,
    -- how many items it has
    sagas bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    -- the worker that runs it
    owner text COLLATE "C"
);

-- What runs, oldest first, is looked for at each poll.
CREATE INDEX saga_jobs_status ON saga_jobs (status, job_id);

CREATE INDEX saga_jobs_owner ON saga_jobs (owner) WHERE owner IS NOT NULL;

CREATE TABLE saga_job_items (
    job_id text COLLATE "C" NOT NULL,
    -- from 1, in the order in which they were added
    number bigint NOT NULL,
    saga_id text COLLATE "C" NOT NULL,
    -- 'pending', 'acted', 'refused', 'well' or 'failed'
    status text NOT NULL,
    text text,
    -- since when it has that status
    at bigint,
    PRIMARY KEY (job_id, number)
);

CREATE UNIQUE INDEX saga_job_items_saga ON saga_job_items (job_id, saga_id);

CREATE INDEX saga_job_items_status ON saga_job_items (job_id, status, number);

-- What SQL of users may be written for.
INSERT INTO saga_contract (name, version) VALUES ('saga_jobs', 1), ('saga_job_items', 1);
