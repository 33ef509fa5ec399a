-- What workers ask again and again on PostgreSQL is found by a seek, however many sagas and messages there are that they do not
-- want. Columns are a contract, documented in docs/reference/sql.md and the same on SQLite.

-- Also by definition, so that the definitions of a worker's sagas are found without reading each of the sagas.
DROP INDEX saga_status_owner;

CREATE INDEX saga_status_owner ON saga_status (owner, definition) WHERE owner IS NOT NULL;

-- Which definitions there are that a worker lacks, and how many sagas of them, is asked at each start.
CREATE INDEX saga_status_definition ON saga_status (definition) WHERE ended_at IS NULL;

-- 1 while an earlier row of its lane is here, and 0 for the first one. The triggers below keep it and the next column, whoever
-- puts or removes a row.
ALTER TABLE saga_inbox ADD COLUMN behind bigint NOT NULL DEFAULT 0;

-- of a saga, the digest of its definition, or nothing ('') if the saga was not there yet; NULL for a consumer
ALTER TABLE saga_inbox ADD COLUMN definition text COLLATE "C";

UPDATE saga_inbox AS held SET
    behind = CASE WHEN EXISTS (
        SELECT 1 FROM saga_inbox AS earlier
        WHERE earlier.lane = held.lane AND earlier.recipient = held.recipient
            AND (earlier.position, earlier.message_id) < (held.position, held.message_id)
    ) THEN 1 ELSE 0 END,
    definition = CASE WHEN substr(held.recipient, 1, 12) <> 'participant:' THEN
        coalesce((SELECT definition FROM saga_status WHERE saga_id = held.recipient), '')
    END;

-- The first row of each lane: in order those that were not tried yet, and by their time those that are to be tried again.
DROP INDEX saga_inbox_due;

CREATE INDEX saga_inbox_first ON saga_inbox (recipient, position, message_id, due_at)
WHERE status = 'pending' AND attempts = 0 AND behind = 0;

CREATE INDEX saga_inbox_again ON saga_inbox (recipient, due_at) WHERE status = 'pending' AND attempts > 0 AND behind = 0;

-- The mail of sagas, of each the first row, which is looked for without knowing which sagas have any.
DROP INDEX saga_inbox_sagas;

CREATE INDEX saga_inbox_sagas ON saga_inbox (definition, position, recipient) WHERE definition IS NOT NULL AND behind = 0;

-- Whoever writes here holds the lock of the log, so no row of the lane comes or goes meanwhile.
CREATE FUNCTION saga_inbox_comes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.behind := CASE WHEN EXISTS (
        SELECT 1 FROM saga_inbox AS earlier
        WHERE earlier.lane = NEW.lane AND earlier.recipient = NEW.recipient
            AND (earlier.position, earlier.message_id) < (NEW.position, NEW.message_id)
    ) THEN 1 ELSE 0 END;
    NEW.definition := CASE WHEN substr(NEW.recipient, 1, 12) <> 'participant:' THEN
        coalesce((SELECT definition FROM saga_status WHERE saga_id = NEW.recipient), '')
    END;
    RETURN NEW;
END $$;

CREATE TRIGGER saga_inbox_comes BEFORE INSERT ON saga_inbox
FOR EACH ROW EXECUTE FUNCTION saga_inbox_comes();

-- What was routed again may come before all that is here. Between it and the one that was first there are only rows of the
-- same statement, so few are passed over.
CREATE FUNCTION saga_inbox_came() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE saga_inbox SET behind = 1
    WHERE recipient = NEW.recipient AND message_id = (
        SELECT next.message_id FROM saga_inbox AS next
        WHERE next.lane = NEW.lane AND next.recipient = NEW.recipient AND next.behind = 0
            AND (next.position, next.message_id) > (NEW.position, NEW.message_id)
        ORDER BY next.position, next.message_id
        LIMIT 1
    );
    RETURN NULL;
END $$;

CREATE TRIGGER saga_inbox_came AFTER INSERT ON saga_inbox
FOR EACH ROW WHEN (NEW.behind = 0) EXECUTE FUNCTION saga_inbox_came();

CREATE FUNCTION saga_inbox_left() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE saga_inbox SET behind = 0
    WHERE recipient = OLD.recipient AND message_id = (
        SELECT next.message_id FROM saga_inbox AS next
        WHERE next.lane = OLD.lane AND next.recipient = OLD.recipient
        ORDER BY next.position, next.message_id
        LIMIT 1
    );
    RETURN NULL;
END $$;

CREATE TRIGGER saga_inbox_left AFTER DELETE ON saga_inbox
FOR EACH ROW WHEN (OLD.behind = 0) EXECUTE FUNCTION saga_inbox_left();

-- By consumer, because a worker routes again for those that it has.
CREATE INDEX saga_unmatched_again ON saga_unmatched (consumer, unmatched_id) WHERE status = 'redelivering';

-- The events of a projection that are tried again or wait for a person, without those that wait behind them.
CREATE INDEX IF NOT EXISTS saga_projection_events_head ON saga_projection_events (projection, generation, position)
WHERE status <> 'waiting';

UPDATE saga_contract SET version = 2 WHERE name = 'saga_inbox';
