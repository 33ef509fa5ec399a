-- Pages of long lists on SQLite: each begins where the one before has ended, however many rows there are.

-- Sagas that have not ended, the newest first; PostgreSQL has had this index from its first schema on.
CREATE INDEX saga_status_open ON saga_status (saga_id) WHERE ended_at IS NULL;

-- Messages that nobody could take: those of one name or of one consumer, the newest of a status first, and those of a trace.
CREATE INDEX saga_unmatched_name ON saga_unmatched (name, status, unmatched_id);

CREATE INDEX saga_unmatched_consumer ON saga_unmatched (consumer, status, unmatched_id);

CREATE INDEX saga_unmatched_correlation ON saga_unmatched (correlation_id) WHERE correlation_id IS NOT NULL;
