-- What the SQLite store says to its database about the attributes of sagas, and how sagas are found by them. The conditions
-- of a search are the rows of `wanted`. Who may match is looked up by the index that serves, as ids, and then asked of
-- all conditions: see `stores/searching.py`.

-- name: upsert_attribute
INSERT INTO saga_attributes ({saga_attributes.given}, position) VALUES ({saga_attributes.given as marks}, ?)
ON CONFLICT (saga_id, name) DO UPDATE SET {saga_attributes.changing from excluded}, position = excluded.position;

-- name: forget_attribute
DELETE FROM saga_attributes WHERE saga_id = ? AND name = ?;

-- name: forget_attributes
DELETE FROM saga_attributes WHERE saga_id IN (SELECT value FROM json_each(?));

-- name: attributes
SELECT {saga_attributes.all} FROM saga_attributes
WHERE saga_id IN (SELECT value FROM json_each(:saga_ids))
ORDER BY saga_id, name;

-- name: attribute_names
-- From name to name through the index instead of reading every attribute.
WITH RECURSIVE names (name) AS (
    SELECT min(name) FROM saga_attributes
    UNION ALL
    SELECT (SELECT min(name) FROM saga_attributes WHERE name > names.name) FROM names WHERE name IS NOT NULL
)
SELECT name FROM names WHERE name IS NOT NULL;

-- name: holders_of_text
-- Any blob is behind every text: without `before` it begins with the newest.
SELECT saga_id FROM saga_attributes
WHERE name = :name AND value = :text AND saga_id < coalesce(:before, x'')
ORDER BY saga_id DESC
LIMIT :limit;

-- name: holders_of_number
SELECT saga_id FROM saga_attributes
WHERE name = :name AND number = :number AND saga_id < coalesce(:before, x'')
ORDER BY saga_id DESC
LIMIT :limit;

-- name: in_texts
-- Texts of numbers, too, which only the table itself tells apart; the conditions leave them out.
name = :name AND value >= coalesce(:least, '') AND value <= coalesce(:most, x'')

-- name: in_numbers
name = :name AND number >= coalesce(:least, -9e999) AND number <= coalesce(:most, 9e999)

-- name: some_in_texts
SELECT saga_id FROM saga_attributes INDEXED BY saga_attributes_value WHERE {in_texts} LIMIT :limit;

-- name: some_in_numbers
SELECT saga_id FROM saga_attributes INDEXED BY saga_attributes_number WHERE {in_numbers} LIMIT :limit;

-- name: newest_in_texts
SELECT saga_id FROM saga_attributes INDEXED BY saga_attributes_value
WHERE {in_texts} AND saga_id < coalesce(:before, x'')
ORDER BY saga_id DESC
LIMIT :limit;

-- name: newest_in_numbers
SELECT saga_id FROM saga_attributes INDEXED BY saga_attributes_number
WHERE {in_numbers} AND saga_id < coalesce(:before, x'')
ORDER BY saga_id DESC
LIMIT :limit;

-- name: newest_unlike
SELECT saga_id FROM saga_attributes INDEXED BY saga_attributes_value
WHERE name = :name AND (:text IS NULL OR value <> :text) AND saga_id < coalesce(:before, x'')
ORDER BY saga_id DESC
LIMIT :limit;

-- name: newest
SELECT saga_id FROM saga_status WHERE saga_id < coalesce(:before, x'') ORDER BY saga_id DESC LIMIT :limit;

-- name: some_keyed
SELECT saga_id FROM saga_status WHERE saga_key = :key LIMIT :limit;

-- name: some_named
SELECT saga_id FROM saga_status INDEXED BY saga_status_name WHERE saga_name = :saga_name LIMIT :limit;

-- name: some_in_trouble
SELECT saga_id FROM saga_status INDEXED BY saga_status_trouble
WHERE error_type IS NOT NULL AND ended_at IS NULL
LIMIT :limit;

-- name: some_with_an_error
SELECT saga_id FROM saga_status INDEXED BY saga_status_error WHERE error_type IS NOT NULL LIMIT :limit;

-- name: some_open
SELECT saga_id FROM saga_status INDEXED BY saga_status_open WHERE ended_at IS NULL LIMIT :limit;

-- name: conditions
-- One row for each condition.
wanted (name, operator, text, number) AS (VALUES (?, ?, ?, ?))

-- name: attributed
-- No condition is left that none of its attributes meets.
NOT EXISTS (
    SELECT 1 FROM wanted
    WHERE NOT EXISTS (
        SELECT 1 FROM saga_attributes AS held
        WHERE held.saga_id = saga_status.saga_id AND held.name = wanted.name AND CASE wanted.operator
            WHEN '=' THEN held.value = wanted.text OR held.number = wanted.number
            WHEN '!=' THEN NOT coalesce(held.value = wanted.text OR held.number = wanted.number, 0)
            ELSE (wanted.number IS NOT NULL OR held.number IS NULL) AND CASE wanted.operator
                WHEN '<' THEN iif(wanted.number IS NULL, held.value < wanted.text, held.number < wanted.number)
                WHEN '<=' THEN iif(wanted.number IS NULL, held.value <= wanted.text, held.number <= wanted.number)
                WHEN '>' THEN iif(wanted.number IS NULL, held.value > wanted.text, held.number > wanted.number)
                WHEN '>=' THEN iif(wanted.number IS NULL, held.value >= wanted.text, held.number >= wanted.number)
            END
        END
    )
)

-- name: find_among
WITH {conditions}
SELECT {saga_status.all} FROM saga_status
WHERE saga_id IN (SELECT value FROM json_each(:saga_ids))
    AND (:key IS NULL OR saga_key = :key) AND {matching} AND {attributed}
ORDER BY saga_id DESC
LIMIT :limit;

-- name: find_erring
-- Along those that have an error, the newest first.
WITH {conditions}
SELECT {saga_status.all} FROM saga_status INDEXED BY saga_status_error
WHERE error_type IS NOT NULL AND (:key IS NULL OR saga_key = :key) AND {matching} AND {attributed}
ORDER BY saga_id DESC
LIMIT :limit;
