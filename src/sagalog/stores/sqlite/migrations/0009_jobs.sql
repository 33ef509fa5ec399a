-- Bulk jobs on SQLite: what people ask of many sagas, each of which is acted on once.
-- Columns are a contract, documented in docs/reference/sql.md and the same on PostgreSQL. Times are microseconds since the epoch.

CREATE TABLE saga_jobs (
    job_id TEXT NOT NULL PRIMARY KEY,
    verb TEXT NOT NULL,
    -- what is asked of each saga, as JSON
    act TEXT NOT NULL,
    -- what the sagas were chosen by
    filter TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    -- 'preparing', 'running', 'paused', 'stopped' or 'done'
    status TEXT NOT NULL,
    -- why it has that status, if anybody said so
    why TEXT,
    -- how many go first
    canary INTEGER NOT NULL,
    -- the most in a second
    rate REAL,
    -- so many failures stop it
    stop_after INTEGER NOT NULL,
    -- how many items it has
    sagas INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    -- the worker that runs it
    owner TEXT
) WITHOUT ROWID;

-- What runs, oldest first, is looked for at each poll.
CREATE INDEX saga_jobs_status ON saga_jobs (status, job_id);

CREATE INDEX saga_jobs_owner ON saga_jobs (owner) WHERE owner IS NOT NULL;

CREATE TABLE saga_job_items (
    job_id TEXT NOT NULL,
    -- from 1, in the order in which they were added
    number INTEGER NOT NULL,
    saga_id TEXT NOT NULL,
    -- 'pending', 'acted', 'refused', 'well' or 'failed'
    status TEXT NOT NULL,
    text TEXT,
    -- since when it has that status
    at INTEGER,
    PRIMARY KEY (job_id, number)
) WITHOUT ROWID;

CREATE UNIQUE INDEX saga_job_items_saga ON saga_job_items (job_id, saga_id);

CREATE INDEX saga_job_items_status ON saga_job_items (job_id, status, number);

-- What SQL of users may be written for.
INSERT INTO saga_contract (name, version) VALUES ('saga_jobs', 1), ('saga_job_items', 1);
