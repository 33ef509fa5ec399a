-- What projections ask of SQLite alone, block by block.

-- name: is_table
SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = :name AND type <> 'view')

-- name: is_made
SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'saga_projection_events')
