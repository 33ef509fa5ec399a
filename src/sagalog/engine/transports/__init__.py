"""What goes over brokers: the relay that sends from the log, and what comes in."""
