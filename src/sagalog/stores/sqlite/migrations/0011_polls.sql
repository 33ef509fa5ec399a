-- What workers ask again and again on SQLite is found by a seek, however many sagas and messages there are that they do not want.
-- Columns are a contract, documented in docs/reference/sql.md and the same on PostgreSQL.

-- By definition, because a worker claims those that it has loaded: what waits for another one is not passed over each time.
DROP INDEX saga_status_due;

CREATE INDEX saga_status_due ON saga_status (definition, due_at) WHERE owner IS NULL AND due_at IS NOT NULL;

-- Also by definition, so that the definitions of a worker's sagas are found without reading each of the sagas.
DROP INDEX saga_status_owner;

CREATE INDEX saga_status_owner ON saga_status (owner, definition) WHERE owner IS NOT NULL;

-- Which definitions there are that a worker lacks, and how many sagas of them, is asked at each start.
CREATE INDEX saga_status_definition ON saga_status (definition, ended_at) WHERE ended_at IS NULL;

-- 1 while an earlier row of its lane is here, and 0 for the first one. The triggers below keep it and the next column, whoever
-- puts or removes a row.
ALTER TABLE saga_inbox ADD COLUMN behind INTEGER NOT NULL DEFAULT 0;

-- of a saga, the digest of its definition, or nothing ('') if the saga was not there yet; NULL for a consumer
ALTER TABLE saga_inbox ADD COLUMN definition TEXT;

UPDATE saga_inbox SET
    behind = EXISTS (
        SELECT 1 FROM saga_inbox AS earlier
        WHERE earlier.lane = saga_inbox.lane AND earlier.recipient = saga_inbox.recipient
            AND (earlier.position, earlier.message_id) < (saga_inbox.position, saga_inbox.message_id)
    ),
    definition = CASE WHEN substr(recipient, 1, 12) <> 'participant:' THEN
        coalesce((SELECT definition FROM saga_status WHERE saga_id = saga_inbox.recipient), '')
    END;

-- The first row of each lane: in order those that were not tried yet, and by their time those that are to be tried again.
DROP INDEX saga_inbox_due;

CREATE INDEX saga_inbox_first ON saga_inbox (recipient, position, message_id, due_at)
WHERE status = 'pending' AND attempts = 0 AND behind = 0;

CREATE INDEX saga_inbox_again ON saga_inbox (recipient, due_at) WHERE status = 'pending' AND attempts > 0 AND behind = 0;

-- The mail of sagas, of each the first row, which is looked for without knowing which sagas have any.
DROP INDEX saga_inbox_sagas;

CREATE INDEX saga_inbox_sagas ON saga_inbox (definition, position, recipient, behind) WHERE definition IS NOT NULL AND behind = 0;

-- Three triggers, so that most rows, which are alone in their lanes, are not written twice.
CREATE TRIGGER saga_inbox_behind AFTER INSERT ON saga_inbox
WHEN EXISTS (
    SELECT 1 FROM saga_inbox AS earlier
    WHERE earlier.lane = NEW.lane AND earlier.recipient = NEW.recipient
        AND (earlier.position, earlier.message_id) < (NEW.position, NEW.message_id)
)
BEGIN
    UPDATE saga_inbox SET behind = 1 WHERE recipient = NEW.recipient AND message_id = NEW.message_id;
END;

-- What was routed again may come before all that is here.
CREATE TRIGGER saga_inbox_before AFTER INSERT ON saga_inbox
WHEN EXISTS (
    SELECT 1 FROM saga_inbox AS later
    WHERE later.lane = NEW.lane AND later.recipient = NEW.recipient
        AND (later.position, later.message_id) > (NEW.position, NEW.message_id)
)
BEGIN
    UPDATE saga_inbox SET behind = 1
    WHERE recipient = NEW.recipient AND behind = 0 AND message_id = (
        SELECT next.message_id FROM saga_inbox AS next
        WHERE next.lane = NEW.lane AND next.recipient = NEW.recipient
            AND (next.position, next.message_id) > (NEW.position, NEW.message_id)
        ORDER BY next.position, next.message_id
        LIMIT 1
    );
END;

CREATE TRIGGER saga_inbox_of AFTER INSERT ON saga_inbox WHEN substr(NEW.recipient, 1, 12) <> 'participant:'
BEGIN
    UPDATE saga_inbox SET
        definition = coalesce((SELECT definition FROM saga_status WHERE saga_id = NEW.recipient), '')
    WHERE recipient = NEW.recipient AND message_id = NEW.message_id;
END;

CREATE TRIGGER saga_inbox_left AFTER DELETE ON saga_inbox WHEN OLD.behind = 0
BEGIN
    UPDATE saga_inbox SET behind = 0
    WHERE recipient = OLD.recipient AND message_id = (
        SELECT next.message_id FROM saga_inbox AS next
        WHERE next.lane = OLD.lane AND next.recipient = OLD.recipient
        ORDER BY next.position, next.message_id
        LIMIT 1
    );
END;

-- By consumer, because a worker routes again for those that it has.
CREATE INDEX saga_unmatched_again ON saga_unmatched (consumer, unmatched_id) WHERE status = 'redelivering';

-- The events of a projection that are tried again or wait for a person, without those that wait behind them.
CREATE INDEX IF NOT EXISTS saga_projection_events_head ON saga_projection_events (projection, generation, position)
WHERE status <> 'waiting';

UPDATE saga_contract SET version = 2 WHERE name = 'saga_inbox';
