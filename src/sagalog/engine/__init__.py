"""The engine: the loops that write decisions and carry out effects. It decides nothing; the kernel does."""

from sagalog.logs import make_records_harmless

make_records_harmless()
