"""The store in PostgreSQL, with its SQL and its migrations."""
