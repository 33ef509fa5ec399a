"""The engine: the loops that turn decisions into commits and effects. It decides nothing; the kernel does."""
