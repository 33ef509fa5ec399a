-- What `sagalog audit` asks on its own account.

-- name: answers
-- Tells a database that is gone from one that only refused an audit query.
SELECT 1 AS answer;
