-- Attributes of sagas on PostgreSQL: small values by which a saga is found, as its log has them.
-- Columns are a contract, documented in docs/reference/sql.md and the same on SQLite.

CREATE TABLE saga_attributes (
    saga_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    -- the value as text; two numbers have the same text only if they are equal
    value text COLLATE "C" NOT NULL,
    -- the value of one that is a number, whole or not
    number numeric,
    -- the position in the log that this row reflects
    position bigint NOT NULL,
    PRIMARY KEY (saga_id, name)
);

-- Of one value the newest saga is found first; of several in an order those that have one of them.
CREATE INDEX saga_attributes_value ON saga_attributes (name, value, saga_id);

CREATE INDEX saga_attributes_number ON saga_attributes (name, number, saga_id) WHERE number IS NOT NULL;

-- Sagas of one name, the newest first, however few they are. Neither column ever changes.
CREATE INDEX saga_status_name ON saga_status (saga_name, saga_id);

-- What is stuck or being undone, apart from all that has failed.
CREATE INDEX saga_status_trouble ON saga_status (saga_id) WHERE error_type IS NOT NULL AND ended_at IS NULL;
