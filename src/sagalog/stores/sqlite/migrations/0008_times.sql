-- Looking for sagas by the time of their start on SQLite, which their ids tell.

-- The sagas whose ids tell another time than that of their start, by more than five seconds, or whose start is at a time that
-- no id can tell: hardly ever any, so this index costs nothing, and whoever looks for a time looks at them besides.
CREATE INDEX saga_status_misdated ON saga_status (saga_id) WHERE
    saga_id NOT BETWEEN
        printf('%08x-%04x', (started_at / 1000 - 5000) >> 16, (started_at / 1000 - 5000) & 65535)
        AND printf('%08x-%04x', (started_at / 1000 + 5000) >> 16, (started_at / 1000 + 5000) & 65535)
    OR started_at NOT BETWEEN 5000000 AND 281474970000000000;
