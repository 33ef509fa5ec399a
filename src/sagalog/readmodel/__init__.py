"""The read model: the rows of the library's own tables, computed from states and from the log; no SQL."""
