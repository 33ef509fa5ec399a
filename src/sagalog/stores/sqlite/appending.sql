-- How appends are written by one statement. Their rows are inserted into a view of the connection's own, and its triggers
-- write the tables, all while Python's global lock is let go: with a statement for each table the writer would wait for that
-- lock again and again. It stands in a transaction: a trigger of somebody else that fails (`RAISE(FAIL)`) leaves what the
-- statement has written before, and without one that would be committed.

-- name: append
INSERT INTO saga_appending
VALUES (?, ?, ?, ?, ?, ?, {saga_status.changing as marks}, {saga_steps.given as marks});

-- name: appending
-- A row is the start of a saga (it expects nothing), a move, or more of the append before (what it expects is negative).
-- It has up to two events, and in its numbered columns one step. A start has there what never changes of its status; the
-- first of both is the saga's id.
-- What is written is counted: a trigger of somebody else can leave a row out without a word (`RAISE(IGNORE)`).
CREATE TEMP VIEW IF NOT EXISTS saga_appending (
    expected, holder, topic, state, next_topic, next_state,
    {saga_status.changing}, {saga_steps.given numbered part_}
) AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, {saga_status.changing as nulls}, {saga_steps.given as nulls};

-- name: appending_start
CREATE TEMP TRIGGER IF NOT EXISTS saga_appending_start INSTEAD OF INSERT ON saga_appending WHEN NEW.expected = 0
BEGIN
    INSERT INTO saga_events (originator_id, originator_version, topic, state)
    VALUES (NEW.part_1, 1, NEW.topic, NEW.state);
    SELECT RAISE(ABORT, 'sagalog: unfit') WHERE changes() <> 1;
    INSERT INTO saga_events (originator_id, originator_version, topic, state)
    SELECT NEW.part_1, 2, NEW.next_topic, NEW.next_state WHERE NEW.next_topic IS NOT NULL;
    SELECT RAISE(ABORT, 'sagalog: unfit') WHERE changes() <> (NEW.next_topic IS NOT NULL);
    INSERT INTO saga_status ({saga_status.fixed}, {saga_status.changing}, position)
    VALUES (
        {saga_status.fixed numbered NEW.part_}, {saga_status.changing of NEW},
        last_insert_rowid() + NEW.version - 1 - (NEW.next_topic IS NOT NULL)
    );
    SELECT RAISE(ABORT, 'sagalog: unfit') WHERE changes() <> 1;
END;

-- name: appending_move
-- The gate of every append: a row whose version or owner is another is left alone, and nothing of the batch is written.
CREATE TEMP TRIGGER IF NOT EXISTS saga_appending_move INSTEAD OF INSERT ON saga_appending WHEN NEW.expected > 0
BEGIN
    INSERT INTO saga_events (originator_id, originator_version, topic, state)
    VALUES (NEW.part_1, NEW.expected + 1, NEW.topic, NEW.state);
    SELECT RAISE(ABORT, 'sagalog: unfit') WHERE changes() <> 1;
    INSERT INTO saga_events (originator_id, originator_version, topic, state)
    SELECT NEW.part_1, NEW.expected + 2, NEW.next_topic, NEW.next_state WHERE NEW.next_topic IS NOT NULL;
    SELECT RAISE(ABORT, 'sagalog: unfit') WHERE changes() <> (NEW.next_topic IS NOT NULL);
    UPDATE saga_status SET
        {saga_status.changing from NEW},
        position = last_insert_rowid() + NEW.version - NEW.expected - 1 - (NEW.next_topic IS NOT NULL)
    WHERE saga_id = NEW.part_1 AND version = NEW.expected AND owner IS NEW.holder;
    SELECT RAISE(ABORT, 'sagalog: unfit') WHERE changes() <> 1;
    INSERT INTO saga_steps ({saga_steps.given}, position)
    SELECT
        {saga_steps.given numbered NEW.part_},
        last_insert_rowid() + NEW.version - NEW.expected - 1 - (NEW.next_topic IS NOT NULL)
    WHERE NEW.part_2 IS NOT NULL
    ON CONFLICT (saga_id, step, direction) DO UPDATE SET
        {saga_steps.changing from excluded}, position = excluded.position;
END;

-- name: appending_more
CREATE TEMP TRIGGER IF NOT EXISTS saga_appending_more INSTEAD OF INSERT ON saga_appending WHEN NEW.expected < 0
BEGIN
    INSERT INTO saga_events (originator_id, originator_version, topic, state)
    SELECT NEW.part_1, 1 - NEW.expected, NEW.topic, NEW.state WHERE NEW.topic IS NOT NULL;
    SELECT RAISE(ABORT, 'sagalog: unfit') WHERE changes() <> (NEW.topic IS NOT NULL);
    INSERT INTO saga_events (originator_id, originator_version, topic, state)
    SELECT NEW.part_1, 2 - NEW.expected, NEW.next_topic, NEW.next_state WHERE NEW.next_topic IS NOT NULL;
    SELECT RAISE(ABORT, 'sagalog: unfit') WHERE changes() <> (NEW.next_topic IS NOT NULL);
    INSERT INTO saga_steps ({saga_steps.given}, position)
    SELECT
        {saga_steps.given numbered NEW.part_},
        (SELECT max(rowid) FROM saga_events)
            + NEW.version + NEW.expected - (NEW.topic IS NOT NULL) - (NEW.next_topic IS NOT NULL)
    WHERE NEW.part_2 IS NOT NULL
    ON CONFLICT (saga_id, step, direction) DO UPDATE SET
        {saga_steps.changing from excluded}, position = excluded.position;
END;
