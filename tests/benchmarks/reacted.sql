-- What the handler does that is measured of reactions: a row for each event, in a SQLite database in memory.

-- name: create
CREATE TABLE heard (id TEXT NOT NULL PRIMARY KEY, position INTEGER NOT NULL);

-- name: write
INSERT INTO heard VALUES (?, ?);
