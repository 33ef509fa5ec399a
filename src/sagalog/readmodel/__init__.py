"""The library's own tables: what a row of saga_status and saga_steps says, computed from states, and their SQL."""
