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
INSERT INTO saga_attributes (saga_id, name, value, number, position)
SELECT saga_id, name, value, number::numeric, position FROM given WHERE value IS NOT NULL
ON CONFLICT (saga_id, name) DO UPDATE SET {saga_attributes.changing from excluded}, position = excluded.position;

-- name: forget_attributes
DELETE FROM saga_attributes WHERE saga_id = ANY ($1::text[]);

-- name: rewrite_attribute
INSERT INTO saga_attributes (saga_id, name, value, number, position)
SELECT saga_id, name, value, number::numeric, position
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
    AS given (saga_id, name, value, number, position);

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

-- name: holders_of_texts
SELECT saga_id FROM saga_attributes
WHERE name = $1 AND ($2::text IS NULL OR value >= $2) AND ($3::text IS NULL OR value <= $3) AND number IS NULL
LIMIT $4;

-- name: holders_of_numbers
SELECT saga_id FROM saga_attributes
WHERE name = $1 AND number IS NOT NULL
    AND ($2::text IS NULL OR number >= $2::text::numeric) AND ($3::text IS NULL OR number <= $3::text::numeric)
LIMIT $4;

-- name: keyed
SELECT saga_id FROM saga_status WHERE saga_key = $1 LIMIT $2;

-- name: named
SELECT saga_id FROM saga_status WHERE saga_name = $1 LIMIT $2;

-- name: with_an_error
SELECT saga_id FROM saga_status
WHERE error_type IS NOT NULL AND ($1::text[] IS NULL OR status = ANY ($1))
LIMIT $2;

-- name: going_on
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
    FROM unnest($9::text[], $10::text[], $11::text[], $12::text[]) AS given (name, operator, text, number)
)

-- name: find_among
WITH {conditions}
SELECT {saga_status.all} FROM saga_status
WHERE saga_id = ANY ($13::text[]) AND ($8::text IS NULL OR saga_key = $8) AND {matching} AND {attributed}
ORDER BY saga_id DESC
LIMIT $7;

-- name: find_walking
-- All sagas, newest first: for conditions that many sagas meet.
WITH {conditions}
SELECT {saga_status.all} FROM saga_status
WHERE ($8::text IS NULL OR saga_key = $8) AND {matching} AND {attributed}
ORDER BY saga_id DESC
LIMIT $7;
