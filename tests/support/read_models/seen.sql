-- The position of every event that a projection was told of. There is no key: one that is told twice is there twice.

CREATE TABLE {seen} (position BIGINT NOT NULL);

-- name: see
INSERT INTO {seen} (position) VALUES (:position);
