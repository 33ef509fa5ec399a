-- How a SQLite file aside is filled, and what is taken out of it. {saga_status.all} is a list of columns, which
-- `stores/columns.py` writes out.

-- name: copy_events
-- The rowid is the position.
INSERT INTO saga_events (rowid, originator_id, originator_version, topic, state) VALUES (?, ?, ?, ?, ?);

-- name: begin_sagas
INSERT INTO saga_status ({saga_status.all}) VALUES ({saga_status.all as marks});

-- name: take_out
-- A view says of saga_unmatched what it says without one, so the table stays, by another name; columns as well, for an
-- index is over them.
DROP TABLE saga_inbox;

DROP TABLE saga_consumers;

DROP TABLE saga_workers;

DROP TABLE saga_tracking;

DROP TABLE saga_jobs;

DROP TABLE saga_job_items;

ALTER TABLE saga_unmatched RENAME TO saga_not_known_messages;

ALTER TABLE saga_status RENAME COLUMN owner TO not_known_owner;

ALTER TABLE saga_commands RENAME COLUMN deliveries TO not_known_deliveries
