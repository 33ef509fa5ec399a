-- Which lock a worker's process holds while it lives: on PostgreSQL the second number of an advisory lock, the first is that of
-- this table; on SQLite the name of a file beside the database. NULL: none, only the lease tells, as an older version begins it.
ALTER TABLE saga_workers ADD COLUMN life_lock bigint;

UPDATE saga_contract SET version = 2 WHERE name = 'saga_workers';
