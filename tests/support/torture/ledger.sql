-- What the services of a torture run have done in the world, one row an effect, beside the inbox of the participant kit
-- and in its transactions. Nothing is unique: what makes an effect happen once is the kit, and that is what is checked.

-- name: create_sqlite
CREATE TABLE IF NOT EXISTS effects (
    number INTEGER PRIMARY KEY AUTOINCREMENT, action TEXT NOT NULL, direction TEXT NOT NULL, command TEXT NOT NULL
)

-- name: create_postgres
CREATE TABLE IF NOT EXISTS effects (
    number BIGINT GENERATED ALWAYS AS IDENTITY, action TEXT NOT NULL, direction TEXT NOT NULL, command TEXT NOT NULL
)

-- name: hurry_sqlite
-- What these runs kill is a process, never the machine.
PRAGMA synchronous = OFF

-- name: hurry_postgres
-- The server is killed too, so here nothing may be lost.
SET lock_timeout = 5000

-- name: write_sqlite
INSERT INTO effects (action, direction, command) VALUES (:action, :direction, :command)

-- name: write_postgres
INSERT INTO effects (action, direction, command) VALUES (%(action)s, %(direction)s, %(command)s)

-- name: read
SELECT number, action, direction, command FROM effects ORDER BY number
