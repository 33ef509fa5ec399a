-- What participants did when they were told of something: every call of a handler, and the one effect for each id. The
-- effect's row is kept as it was first written, so whoever is told the same thing differently is found out.

-- name: create
CREATE TABLE IF NOT EXISTS calls (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    participant TEXT NOT NULL,
    id TEXT NOT NULL,
    position INTEGER NOT NULL,
    lane TEXT NOT NULL,
    fields TEXT NOT NULL,
    process TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS effects (
    participant TEXT NOT NULL, id TEXT NOT NULL, fields TEXT NOT NULL, PRIMARY KEY (participant, id)
);

-- name: call
INSERT INTO calls (participant, id, position, lane, fields, process) VALUES (?, ?, ?, ?, ?, ?);

-- name: effect
INSERT INTO effects (participant, id, fields) VALUES (?, ?, ?) ON CONFLICT DO NOTHING;

-- name: calls
SELECT participant, id, position, lane, fields FROM calls ORDER BY number;

-- name: effects
SELECT participant, id, fields FROM effects;

-- name: last_process
SELECT process FROM calls ORDER BY number DESC LIMIT 1;

-- name: number
SELECT count(*) FROM calls;
