"""A database that is full of what a worker need not look at: what has ended, sleeps, or waits for others."""

import re

from databases.catalogs import plain

from sagalog.stores.sql import statements

SQL = statements("tests.support.backlog", "backlog.sql")
OF_OTHERS = (
    "finished",
    "open",
    "mail_of_others",
    "messages",
    "commands",
    "lanes",
    "projected",
    "unmatched",
    "jobs",
    "items",
)
OF_OURS = (*(name for name in SQL if name.startswith("own_")), "workers", "consumers")


def fill(database: str, finished: int, unfinished: int) -> None:
    """Fill a new database with what a worker finds to do and, besides, so many sagas of both kinds."""
    kind = "sqlite" if database.startswith("sqlite") else "postgres"
    values = {"finished": finished, "open": unfinished, "most": max(finished, unfinished, 100)}
    with plain(database) as connection:
        if kind == "sqlite":
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
        for block in (f"numbers_{kind}", *OF_OTHERS, *OF_OURS, f"events_{kind}"):
            # Numbers only; as text, since names such as `saga:ours` look like parameters to some drivers.
            connection.execute(re.sub(r":(finished|open|most)\b", lambda found: str(values[found[1]]), SQL[block]))
        if kind == "sqlite":
            connection.execute("COMMIT")


def settle(database: str) -> None:
    """Let the database gather its statistics, as PostgreSQL does by itself and SQLite only if it is told to."""
    kind = "sqlite" if database.startswith("sqlite") else "postgres"
    with plain(database) as connection:
        connection.execute(SQL[f"settle_{kind}"])
        if kind == "sqlite":
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
