-- What projections ask of SQLite alone, block by block.

-- name: is_taken
SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = :name COLLATE NOCASE)

-- name: is_made
SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'saga_projection_events')
