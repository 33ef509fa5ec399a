"""Adapters to brokers, the only place that imports their drivers; each adapter is imported when it is needed."""

from sagalog.logs import make_records_harmless

make_records_harmless()
