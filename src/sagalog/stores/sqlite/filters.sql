-- The comparisons of which a filter of sagas is made in SQLite. `stores/filtering.py` joins them with AND, OR and NOT, writes
-- names of columns and operators of ours for {column} and {operator}, and numbers the `?`, which are the values. Each is
-- true or false and never NULL, so that NOT means what it says. `lower` knows a to z only, as in every store.

-- name: is_none
{column} IS NULL

-- name: is_text
coalesce({column} = ?, FALSE)

-- name: has_text
coalesce(instr(lower({column}), lower(?)) > 0, FALSE)

-- name: in_order
coalesce({column} {operator} ?, FALSE)

-- name: error_has_text
coalesce(instr(lower(error_type || ' ' || coalesce(error_text, '')), lower(?)) > 0, FALSE)

-- name: attribute_is
EXISTS (
    SELECT 1 FROM saga_attributes AS held
    WHERE held.saga_id = saga_status.saga_id AND held.name = ? AND (held.value = ? OR held.number = ?)
)

-- name: attribute_has_text
EXISTS (
    SELECT 1 FROM saga_attributes AS held
    WHERE held.saga_id = saga_status.saga_id AND held.name = ? AND instr(lower(held.value), lower(?)) > 0
)

-- name: attribute_in_texts
EXISTS (
    SELECT 1 FROM saga_attributes AS held
    WHERE held.saga_id = saga_status.saga_id AND held.name = ? AND held.number IS NULL AND held.value {operator} ?
)

-- name: attribute_in_numbers
EXISTS (
    SELECT 1 FROM saga_attributes AS held
    WHERE held.saga_id = saga_status.saga_id AND held.name = ? AND held.number {operator} ?
)
