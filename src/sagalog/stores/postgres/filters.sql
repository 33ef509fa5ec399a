-- The comparisons of which a filter of sagas is made in PostgreSQL. `stores/filtering.py` joins them with AND, OR and NOT,
-- writes names of columns and operators of ours for {column} and {operator}, and numbers the `?`, which are the values. Each
-- is true or false and never NULL, so that NOT means what it says. In the collation "C" `lower` knows a to z only, as in
-- every store. Numbers of attributes come as text, for what is exact has no binary form of ours.

-- name: is_none
{column} IS NULL

-- name: is_text
coalesce({column} = ?::text, FALSE)

-- name: has_text
coalesce(strpos(lower({column} COLLATE "C"), lower(?::text COLLATE "C")) > 0, FALSE)

-- name: in_order
coalesce({column} {operator} ?::bigint, FALSE)

-- name: error_has_text
coalesce(
    strpos(lower((error_type || ' ' || coalesce(error_text, '')) COLLATE "C"), lower(?::text COLLATE "C")) > 0, FALSE
)

-- name: attribute_is
EXISTS (
    SELECT 1 FROM saga_attributes AS held
    WHERE held.saga_id = saga_status.saga_id AND held.name = ?::text
        AND (held.value = ?::text OR held.number = ?::text::numeric)
)

-- name: attribute_has_text
EXISTS (
    SELECT 1 FROM saga_attributes AS held
    WHERE held.saga_id = saga_status.saga_id AND held.name = ?::text
        AND strpos(lower(held.value COLLATE "C"), lower(?::text COLLATE "C")) > 0
)

-- name: attribute_in_texts
EXISTS (
    SELECT 1 FROM saga_attributes AS held
    WHERE held.saga_id = saga_status.saga_id AND held.name = ?::text AND held.number IS NULL
        AND held.value {operator} ?::text
)

-- name: attribute_in_numbers
EXISTS (
    SELECT 1 FROM saga_attributes AS held
    WHERE held.saga_id = saga_status.saga_id AND held.name = ?::text AND held.number {operator} ?::text::numeric
)
