"""The engine: the loops that turn decisions into commits and effects. It decides nothing; the kernel does."""

from sagalog.logs import make_records_harmless

make_records_harmless()
