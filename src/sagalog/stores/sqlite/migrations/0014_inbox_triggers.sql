-- What keeps known whose mail a row is costs less: Sagalog says it when it puts the row there, so the row is written once.

-- This is for whoever does not, such as an earlier version.
DROP TRIGGER saga_inbox_of;

CREATE TRIGGER saga_inbox_of AFTER INSERT ON saga_inbox
WHEN NEW.definition IS NULL AND substr(NEW.recipient, 1, 12) <> 'participant:'
BEGIN
    UPDATE saga_inbox SET
        definition = coalesce((SELECT definition FROM saga_status WHERE saga_id = NEW.recipient), '')
    WHERE recipient = NEW.recipient AND message_id = NEW.message_id;
END;
