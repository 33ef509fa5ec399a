-- What keeps the first row of each lane known costs less: one look for a row that comes, and statements for all that come or leave.

-- The plans are kept, and made when the inbox may be empty: then all the rows of a recipient, sorted, look as good as the index
-- of its lane. Neither sorting nor reading everything is left to choose, and a row is changed where it lies.

-- Also for several rows of one statement: each sees those before it. Whoever writes here holds the lock of the log, so no row
-- of the lane comes or goes meanwhile. Sagalog says whose mail a row is; whoever does not, such as an earlier version, is helped.
CREATE OR REPLACE FUNCTION saga_inbox_comes() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off SET enable_sort = off AS $$
DECLARE first record; BEGIN
    SELECT held.position, held.message_id INTO first FROM saga_inbox AS held
    WHERE held.lane = NEW.lane AND held.recipient = NEW.recipient
    ORDER BY held.position, held.message_id
    LIMIT 1;
    NEW.behind := CASE WHEN (first.position, first.message_id) < (NEW.position, NEW.message_id) THEN 1 ELSE 0 END;
    IF NEW.definition IS NULL AND substr(NEW.recipient, 1, 12) <> 'participant:' THEN
        NEW.definition := coalesce((SELECT definition FROM saga_status WHERE saga_id = NEW.recipient), '');
    END IF;
    RETURN NEW;
END $$;

DROP TRIGGER saga_inbox_came ON saga_inbox;

-- What was routed again may come before all that is here. Only what has come counts: a row that was there already is not put.
-- Between it and the one that was first there are only rows of the same statement, so few are passed over.
CREATE OR REPLACE FUNCTION saga_inbox_came() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off SET enable_sort = off AS $$
BEGIN
    UPDATE saga_inbox SET behind = 1
    WHERE behind = 0 AND ctid = ANY (ARRAY(
        SELECT next.place
        FROM came CROSS JOIN LATERAL (
            SELECT held.ctid AS place FROM saga_inbox AS held
            WHERE held.lane = came.lane AND held.recipient = came.recipient AND held.behind = 0
                AND (held.position, held.message_id) > (came.position, came.message_id)
            ORDER BY held.position, held.message_id
            LIMIT 1
        ) AS next
        WHERE came.behind = 0
    ));
    RETURN NULL;
END $$;

CREATE TRIGGER saga_inbox_came AFTER INSERT ON saga_inbox
REFERENCING NEW TABLE AS came
FOR EACH STATEMENT EXECUTE FUNCTION saga_inbox_came();

DROP TRIGGER saga_inbox_left ON saga_inbox;

CREATE OR REPLACE FUNCTION saga_inbox_left() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off SET enable_sort = off AS $$
BEGIN
    UPDATE saga_inbox SET behind = 0
    WHERE ctid = ANY (ARRAY(
        SELECT first.place
        FROM gone CROSS JOIN LATERAL (
            SELECT held.ctid AS place, held.behind FROM saga_inbox AS held
            WHERE held.lane = gone.lane AND held.recipient = gone.recipient
            ORDER BY held.position, held.message_id
            LIMIT 1
        ) AS first
        WHERE gone.behind = 0 AND first.behind = 1
    ));
    RETURN NULL;
END $$;

CREATE TRIGGER saga_inbox_left AFTER DELETE ON saga_inbox
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION saga_inbox_left();
