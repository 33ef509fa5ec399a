-- What the engine writes, row by row, kept by triggers on SQLite. {table} and its like are filled in for each table, from
-- the database's own catalogue: so a table or a column that a later schema has is kept, too.

-- name: tables
SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'saga!_%' ESCAPE '!' ORDER BY name;

-- name: columns
SELECT name, type, pk FROM pragma_table_info(?) ORDER BY cid;

-- name: keep
-- Columns without a type, so that every value is kept as it was written. The rowid is the order.
CREATE TABLE bench_{table} (bench_change, {columns});

-- name: on_insert
CREATE TRIGGER bench_{table}_insert AFTER INSERT ON {table} BEGIN
    INSERT INTO bench_{table} VALUES ('insert', {new});
END;

-- name: on_update
CREATE TRIGGER bench_{table}_update AFTER UPDATE ON {table} BEGIN
    INSERT INTO bench_{table} VALUES ('update', {new});
END;

-- name: on_delete
CREATE TRIGGER bench_{table}_delete AFTER DELETE ON {table} BEGIN
    INSERT INTO bench_{table} VALUES ('delete', {old});
END;

-- name: kept
SELECT rowid, bench_change, {columns} FROM bench_{table} ORDER BY rowid;

-- name: so_far
SELECT coalesce(max(rowid), 0) FROM bench_{table};

-- name: insert
INSERT INTO {table} ({columns}) VALUES ({values});

-- name: update
UPDATE {table} SET {changes} WHERE {key};

-- name: delete
DELETE FROM {table} WHERE {key};
