-- How long each lease is, in microseconds: whoever sees one unchanged for longer by a clock that nobody can set knows that
-- its worker is dead, whatever time the worker's own clock has written. NULL if an older version has begun it.
ALTER TABLE saga_workers ADD COLUMN lease_length INTEGER;
