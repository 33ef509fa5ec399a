-- What the engine writes, row by row, kept by triggers on PostgreSQL. {table} and its like are filled in for each table,
-- from the database's own catalogue: so a table or a column that a later schema has is kept, too.

-- name: tables
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relname LIKE 'saga!_%' ESCAPE '!'
ORDER BY relname;

-- name: columns
SELECT attname, format_type(atttypid, atttypmod), coalesce(array_position(indkey::int2[], attnum) + 1, 0)
FROM pg_attribute LEFT JOIN pg_index ON indrelid = attrelid AND indisprimary
WHERE attrelid = %s::text::regclass AND attnum > 0 AND NOT attisdropped
ORDER BY attnum;

-- name: keep
CREATE TABLE bench_{table} (bench_number bigserial, bench_change text, LIKE {table});

-- name: on_change
-- No block with EXCEPTION: the engine looks for the rows of its own transaction, and one within it has another number.
CREATE FUNCTION bench_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF tg_op = 'DELETE' THEN
        INSERT INTO bench_{table} (bench_change, {columns}) VALUES ('delete', {old});
    ELSE
        INSERT INTO bench_{table} (bench_change, {columns}) VALUES (lower(tg_op), {new});
    END IF;
    RETURN NULL;
END
$$;

-- name: calls
CREATE TRIGGER bench_{table} AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION bench_{table}();

-- name: kept
SELECT bench_number, bench_change, {columns} FROM bench_{table} ORDER BY bench_number;

-- name: so_far
SELECT coalesce(max(bench_number), 0) FROM bench_{table};

-- name: insert
INSERT INTO {table} ({columns}) VALUES ({values});

-- name: update
UPDATE {table} SET {changes} WHERE {key};

-- name: delete
DELETE FROM {table} WHERE {key};

-- name: insert_arrays
INSERT INTO {table} ({columns}) SELECT * FROM unnest({arrays});

-- name: update_arrays
UPDATE {table} SET {changes} FROM unnest({arrays}) AS given ({columns}) WHERE {key};

-- name: delete_arrays
DELETE FROM {table} USING unnest({arrays}) AS given ({columns}) WHERE {key};
