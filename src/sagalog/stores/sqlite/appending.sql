-- How appends are written by one statement. Their rows are inserted into a view of the connection's own, and its triggers
-- write the tables. A statement takes the write lock, writes and commits while Python's global lock is let go: with one
-- for each table, and others around them, the writer would wait for that lock again and again.

-- name: append
INSERT INTO saga_appending
VALUES (?, ?, ?, ?, ?, ?, ?, ?, {saga_status.given as marks}, {saga_steps.given as marks});

-- name: appending
-- A row is the start of a saga, a move of it, or more of the append before. It has up to two events and one step, and says
-- how many events of its append come after them.
CREATE TEMP VIEW IF NOT EXISTS saga_appending (
    part, expected, holder, topic, state, next_topic, next_state, ahead,
    {saga_status.given}, {saga_steps.given under its_}
) AS SELECT
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, {saga_status.given as nulls}, {saga_steps.given as nulls};

-- name: appending_start
CREATE TEMP TRIGGER IF NOT EXISTS saga_appending_start INSTEAD OF INSERT ON saga_appending WHEN NEW.part = 'start'
BEGIN
    INSERT INTO saga_events (originator_id, originator_version, topic, state)
    VALUES (NEW.saga_id, 1, NEW.topic, NEW.state);
    INSERT INTO saga_events (originator_id, originator_version, topic, state)
    SELECT NEW.saga_id, 2, NEW.next_topic, NEW.next_state WHERE NEW.next_topic IS NOT NULL;
    INSERT INTO saga_status ({saga_status.given}, position)
    VALUES ({saga_status.given of NEW}, last_insert_rowid() + NEW.ahead);
END;

-- name: appending_move
-- The gate of every append: a row whose version or owner is another is left alone, and nothing of the batch is written.
CREATE TEMP TRIGGER IF NOT EXISTS saga_appending_move INSTEAD OF INSERT ON saga_appending WHEN NEW.part = 'move'
BEGIN
    INSERT INTO saga_events (originator_id, originator_version, topic, state)
    VALUES (NEW.saga_id, NEW.expected + 1, NEW.topic, NEW.state);
    INSERT INTO saga_events (originator_id, originator_version, topic, state)
    SELECT NEW.saga_id, NEW.expected + 2, NEW.next_topic, NEW.next_state WHERE NEW.next_topic IS NOT NULL;
    UPDATE saga_status SET {saga_status.changing from NEW}, position = last_insert_rowid() + NEW.ahead
    WHERE saga_id = NEW.saga_id AND version = NEW.expected AND owner IS NEW.holder;
    SELECT RAISE(ABORT, 'sagalog: unfit') WHERE changes() <> 1;
    INSERT INTO saga_steps ({saga_steps.given}, position)
    SELECT {saga_steps.given under NEW.its_}, last_insert_rowid() + NEW.ahead WHERE NEW.its_saga_id IS NOT NULL
    ON CONFLICT (saga_id, step, direction) DO UPDATE SET
        {saga_steps.changing from excluded}, position = excluded.position;
END;

-- name: appending_more
CREATE TEMP TRIGGER IF NOT EXISTS saga_appending_more INSTEAD OF INSERT ON saga_appending WHEN NEW.part = 'more'
BEGIN
    INSERT INTO saga_events (originator_id, originator_version, topic, state)
    SELECT NEW.saga_id, NEW.expected + 1, NEW.topic, NEW.state WHERE NEW.topic IS NOT NULL;
    INSERT INTO saga_events (originator_id, originator_version, topic, state)
    SELECT NEW.saga_id, NEW.expected + 2, NEW.next_topic, NEW.next_state WHERE NEW.next_topic IS NOT NULL;
    INSERT INTO saga_steps ({saga_steps.given}, position)
    SELECT {saga_steps.given under NEW.its_}, (SELECT max(rowid) FROM saga_events) + NEW.ahead
    WHERE NEW.its_saga_id IS NOT NULL
    ON CONFLICT (saga_id, step, direction) DO UPDATE SET
        {saga_steps.changing from excluded}, position = excluded.position;
END;
