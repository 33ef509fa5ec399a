-- What is asked of the database in use before it is computed how it was at an earlier moment.

-- name: seen
-- Which version of each projection readers see, and what of the log it leaves out.
SELECT projection, version, begins_after FROM saga_projections WHERE status = 'live';
