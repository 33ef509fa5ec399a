"""The read model: what the rows of the library's own tables say, computed from states and from the log; no SQL."""
