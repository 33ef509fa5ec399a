"""Adapters to brokers, the only place that imports their drivers; each is imported by name, when it is asked for."""

from sagalog.logs import make_records_harmless

make_records_harmless()
