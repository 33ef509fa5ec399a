"""The store in a SQLite file, with its SQL and its migrations."""
