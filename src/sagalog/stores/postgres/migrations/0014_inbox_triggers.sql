-- What keeps the first row of each lane known costs less: one look for a row that comes, one statement for all that leave.

-- Also for several rows of one statement: each sees those before it. Whoever writes here holds the lock of the log, so no row
-- of the lane comes or goes meanwhile.
CREATE OR REPLACE FUNCTION saga_inbox_comes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE first record; BEGIN
    SELECT held.position, held.message_id INTO first FROM saga_inbox AS held
    WHERE held.lane = NEW.lane AND held.recipient = NEW.recipient
    ORDER BY held.position, held.message_id
    LIMIT 1;
    NEW.behind := 0;
    IF (first.position, first.message_id) < (NEW.position, NEW.message_id) THEN
        NEW.behind := 1;
    ELSIF (first.position, first.message_id) > (NEW.position, NEW.message_id) THEN
        -- It was routed again, and comes before all that is here.
        UPDATE saga_inbox SET behind = 1 WHERE recipient = NEW.recipient AND message_id = first.message_id;
    END IF;
    IF substr(NEW.recipient, 1, 12) <> 'participant:' THEN
        NEW.definition := coalesce((SELECT definition FROM saga_status WHERE saga_id = NEW.recipient), '');
    END IF;
    RETURN NEW;
END $$;

DROP TRIGGER saga_inbox_came ON saga_inbox;

DROP FUNCTION saga_inbox_came();

DROP TRIGGER saga_inbox_left ON saga_inbox;

-- By index, also if the inbox was empty when the statement was planned.
CREATE OR REPLACE FUNCTION saga_inbox_left() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    UPDATE saga_inbox AS next SET behind = 0
    FROM (SELECT DISTINCT lane, recipient FROM gone WHERE behind = 0) AS opened
        CROSS JOIN LATERAL (
            SELECT held.message_id FROM saga_inbox AS held
            WHERE held.lane = opened.lane AND held.recipient = opened.recipient
            ORDER BY held.position, held.message_id
            LIMIT 1
        ) AS head
    WHERE next.recipient = opened.recipient AND next.message_id = head.message_id AND next.behind = 1;
    RETURN NULL;
END $$;

CREATE TRIGGER saga_inbox_left AFTER DELETE ON saga_inbox
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION saga_inbox_left();
