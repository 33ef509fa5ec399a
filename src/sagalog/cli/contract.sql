-- What the command line asks about the SQL contract, on either store.

-- name: versions
SELECT name, version FROM saga_contract ORDER BY name;

-- name: columns
-- No row, only the names of the columns.
SELECT * FROM {name} WHERE 1 = 2;

-- name: projections
-- Which version of each projection readers see.
SELECT projection, version FROM saga_projections WHERE status = 'live';

-- name: made
-- What each projection has made for its readers, as JSON: the kind and the name of each table, view and index.
SELECT generation, made FROM saga_projections WHERE status = 'live';
