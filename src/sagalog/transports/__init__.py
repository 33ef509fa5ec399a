"""Adapters to brokers, the only place that imports their drivers; each is imported by name, when it is asked for."""
