"""Projections at work: events are read in the order of the log, and handed to handlers in one transaction."""
