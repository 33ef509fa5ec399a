-- What the PostgreSQL store says to its database about the attributes of sagas, and how sagas are found by them. The
-- conditions of a search are the rows of `wanted`. Who may match is looked up by the index that serves, as ids, and then
-- asked of all conditions: see `stores/searching.py`. Numbers come as text, for what is exact has no binary form of ours.

-- name: attribute
-- What appends change of attributes; follows the block `append` in its transaction. As in `attach`, only an append that
-- passed has its events written by this very transaction.
WITH given AS MATERIALIZED (
    SELECT given.*, e.notification_id AS position
    FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[])
        AS given (saga_id, version, name, value, number)
    JOIN saga_events AS e ON e.originator_id = given.saga_id AND e.originator_version = given.version
        AND e.xmin = pg_current_xact_id()::xid
), gone AS (
    DELETE FROM saga_attributes AS held USING given
    WHERE held.saga_id = given.saga_id AND held.name = given.name AND given.value IS NULL
)
INSERT INTO saga_attributes ({saga_attributes.all})
SELECT {saga_attributes.given but number}, number::numeric, position FROM given WHERE value IS NOT NULL
ON CONFLICT (saga_id, name) DO UPDATE SET {saga_attributes.changing from excluded}, position = excluded.position;

-- name: forget_attributes
DELETE FROM saga_attributes WHERE saga_id = ANY ($1::text[]);

-- name: rewrite_attribute
INSERT INTO saga_attributes ({saga_attributes.all})
SELECT {saga_attributes.given but number}, number::numeric, position
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) AS given ({saga_attributes.all});

-- name: attributes
SELECT {saga_attributes.all} FROM saga_attributes WHERE saga_id = ANY ($1::text[]) ORDER BY saga_id, name;

-- name: attribute_names
-- From name to name through the index instead of reading every attribute.
WITH RECURSIVE names (name) AS (
    SELECT min(name) FROM saga_attributes
    UNION ALL
    SELECT (SELECT min(name) FROM saga_attributes WHERE name > names.name) FROM names WHERE name IS NOT NULL
)
SELECT name FROM names WHERE name IS NOT NULL;

-- name: holders_of_text
SELECT saga_id FROM saga_attributes
WHERE name = $1 AND value = $2 AND ($3::text IS NULL OR saga_id < $3)
ORDER BY saga_id DESC
LIMIT $4;

-- name: holders_of_number
SELECT saga_id FROM saga_attributes
WHERE name = $1 AND number = $2::text::numeric AND ($3::text IS NULL OR saga_id < $3)
ORDER BY saga_id DESC
LIMIT $4;

-- name: in_texts
-- Texts of numbers, too, which only the table itself tells apart; the conditions leave them out.
name = $1 AND ($2::text IS NULL OR value >= $2) AND ($3::text IS NULL OR value <= $3)

-- name: in_numbers
name = $1 AND number IS NOT NULL
    AND ($2::text IS NULL OR number >= $2::text::numeric) AND ($3::text IS NULL OR number <= $3::text::numeric)

-- name: some_in_texts
SELECT saga_id FROM saga_attributes WHERE {in_texts} LIMIT $4;

-- name: some_in_numbers
SELECT saga_id FROM saga_attributes WHERE {in_numbers} LIMIT $4;

-- name: newest_in_texts
SELECT saga_id FROM saga_attributes
WHERE {in_texts} AND ($4::text IS NULL OR saga_id < $4)
ORDER BY saga_id DESC
LIMIT $5;

-- name: newest_in_numbers
SELECT saga_id FROM saga_attributes
WHERE {in_numbers} AND ($4::text IS NULL OR saga_id < $4)
ORDER BY saga_id DESC
LIMIT $5;

-- name: newest_unlike
SELECT saga_id FROM saga_attributes
WHERE name = $1 AND ($2::text IS NULL OR value <> $2) AND ($3::text IS NULL OR saga_id < $3)
ORDER BY saga_id DESC
LIMIT $4;

-- name: newest
SELECT saga_id FROM saga_status WHERE $1::text IS NULL OR saga_id < $1 ORDER BY saga_id DESC LIMIT $2;

-- name: some_keyed
SELECT saga_id FROM saga_status WHERE saga_key = $1 LIMIT $2;

-- name: some_named
SELECT saga_id FROM saga_status WHERE saga_name = $1 LIMIT $2;

-- name: some_in_trouble
SELECT saga_id FROM saga_status WHERE error_type IS NOT NULL AND ended_at IS NULL LIMIT $1;

-- name: some_with_an_error
SELECT saga_id FROM saga_status WHERE error_type IS NOT NULL LIMIT $1;

-- name: some_open
SELECT saga_id FROM saga_status WHERE ended_at IS NULL LIMIT $1;

-- name: attributed
-- No condition is left that none of its attributes meets.
NOT EXISTS (
    SELECT 1 FROM wanted
    WHERE NOT EXISTS (
        SELECT 1 FROM saga_attributes AS held
        WHERE held.saga_id = saga_status.saga_id AND held.name = wanted.name AND CASE wanted.operator
            WHEN '=' THEN held.value = wanted.text OR held.number = wanted.number
            WHEN '!=' THEN NOT coalesce(held.value = wanted.text OR held.number = wanted.number, false)
            ELSE (wanted.number IS NOT NULL OR held.number IS NULL) AND CASE wanted.operator
                WHEN '<' THEN
                    CASE WHEN wanted.number IS NULL THEN held.value < wanted.text ELSE held.number < wanted.number END
                WHEN '<=' THEN
                    CASE WHEN wanted.number IS NULL THEN held.value <= wanted.text ELSE held.number <= wanted.number END
                WHEN '>' THEN
                    CASE WHEN wanted.number IS NULL THEN held.value > wanted.text ELSE held.number > wanted.number END
                WHEN '>=' THEN
                    CASE WHEN wanted.number IS NULL THEN held.value >= wanted.text ELSE held.number >= wanted.number END
            END
        END
    )
)

-- name: conditions
wanted AS MATERIALIZED (
    SELECT name, operator, text, number::numeric AS number
    FROM unnest($10::text[], $11::text[], $12::text[], $13::text[]) AS given (name, operator, text, number)
)

-- name: find_among
WITH {conditions}
SELECT {saga_status.all} FROM saga_status
WHERE saga_id = ANY ($14::text[]) AND ($9::text IS NULL OR saga_key = $9) AND {matching} AND {attributed}
ORDER BY saga_id DESC
LIMIT $8;

-- name: find_erring
-- Along those that have an error, the newest first.
WITH {conditions}
SELECT {saga_status.all} FROM saga_status
WHERE error_type IS NOT NULL AND ($9::text IS NULL OR saga_key = $9) AND {matching} AND {attributed}
ORDER BY saga_id DESC
LIMIT $8;
