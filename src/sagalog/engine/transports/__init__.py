"""Messages over brokers: the relay sends them from the log, and what comes in is taken into the log."""
