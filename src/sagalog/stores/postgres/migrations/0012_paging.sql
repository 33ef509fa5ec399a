-- Pages of long lists on PostgreSQL: each begins where the one before has ended, however many rows there are.

-- Messages that nobody could take: those of one name or of one consumer, the newest of a status first, and those of a trace.
CREATE INDEX saga_unmatched_name ON saga_unmatched (name, status, unmatched_id);

CREATE INDEX saga_unmatched_consumer ON saga_unmatched (consumer, status, unmatched_id);

CREATE INDEX saga_unmatched_correlation ON saga_unmatched (correlation_id) WHERE correlation_id IS NOT NULL;
