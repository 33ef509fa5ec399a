-- How far each projection has read, and the events that are not in its tables yet: the same on SQLite and PostgreSQL.
-- Parameters are written `:name`. What stands in braces is filled in by `stores/projected/transaction.py`: lists of columns,
-- and what locks a row, which SQLite does not need.

-- name: generations
SELECT {rows} FROM saga_projections
WHERE CAST(:projection AS TEXT) IS NULL OR projection = :projection
ORDER BY projection, generation

-- name: lock
SELECT {rows} FROM saga_projections
WHERE projection = :projection AND generation = :generation {lock}

-- name: lock_soon
SELECT {rows} FROM saga_projections
WHERE projection = :projection AND generation = :generation {lock_soon}

-- name: lock_live
SELECT {rows} FROM saga_projections
WHERE projection = :projection AND status = 'live' {lock_soon}

-- name: write
INSERT INTO saga_projections ({rows}) VALUES ({row_values})
ON CONFLICT (projection, generation) DO UPDATE SET {row_assignments}

-- name: forget_removed
DELETE FROM saga_projections WHERE projection = :projection AND status = 'removed'

-- name: remove
-- The last one stays, so that its number is not given again: somebody may still believe to know how far it has read.
UPDATE saga_projections SET status = 'removed', made = '[]' WHERE projection = :projection AND generation = :generation

-- name: remove_events
DELETE FROM saga_projection_events WHERE projection = :projection AND generation = :generation

-- name: parked
SELECT {events} FROM saga_projection_events
WHERE projection = :projection AND generation = :generation
  AND (CAST(:lane AS TEXT) IS NULL OR lane = :lane)
ORDER BY position

-- name: first_parked
-- Only the first of a lane is tried again or waits for a person; the others wait for it.
SELECT {events} FROM saga_projection_events
WHERE projection = :projection AND generation = :generation AND status <> 'waiting'
ORDER BY position

-- name: park
INSERT INTO saga_projection_events ({events}) VALUES ({event_values})
ON CONFLICT (projection, generation, position) DO UPDATE SET {event_assignments}

-- name: unpark
DELETE FROM saga_projection_events
WHERE projection = :projection AND generation = :generation AND position = :position

-- name: savepoint
SAVEPOINT saga_part

-- name: release
RELEASE SAVEPOINT saga_part

-- name: back
ROLLBACK TO SAVEPOINT saga_part

-- name: every_row
-- Here and below `<table>` and `<name>` stand for a table or a view of a projection: letters, digits and underscores only.
SELECT * FROM <table>

-- name: no_row
SELECT * FROM <table> WHERE 1 = 0

-- name: drop_view
DROP VIEW IF EXISTS <name>

-- name: drop_table
DROP TABLE IF EXISTS <name>

-- name: show
CREATE VIEW <name> AS SELECT * FROM <table>
