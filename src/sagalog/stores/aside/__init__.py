"""Databases aside: made for one question about an earlier moment, filled with a part of a log, and removed after it.

Nothing of the database that is in use is changed. What no log tells is taken out of the copy, so that SQL which asks
for it is refused, and does not find nothing there.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol

from sagalog.errors import InvalidSettings
from sagalog.store import StatusRow, Store, StoredEvent, StoreOptions
from sagalog.stores import SQLITE, sqlite_path

# What is only known as it is now: who owns what, what is still to be taken, what people decided about messages, and
# what they asked of many sagas.
TABLES_NOT_IN_THE_LOG: Final = frozenset(
    (
        *("saga_consumers", "saga_inbox", "saga_job_items", "saga_jobs", "saga_tracking", "saga_unmatched"),
        "saga_workers",
    )
)
COLUMNS_NOT_IN_THE_LOG: Final = frozenset(("owner", "deliveries"))


class Aside(Protocol):
    """A database aside, empty at first; `store` is its store, open."""

    @property
    def store(self) -> Store:
        """Return the store of the copy."""
        ...

    def write(self, events: Sequence[StoredEvent], sagas: Sequence[StatusRow]) -> None:
        """Write events at their positions, and rows of sagas that have begun among them."""
        ...

    def finish(self) -> None:
        """Take out what no log tells, once all else is written; from then on the copy is for SQL alone."""
        ...


def aside_of(address: str, options: StoreOptions) -> AbstractContextManager[Aside]:
    """Make a database aside of the one at an address, and remove it at the end, also after an error.

    SQLite: a file in a temporary folder. PostgreSQL: a schema of the same database; raises `StoreUnfit` if the role may
    make none.
    """
    if address.startswith(SQLITE):
        from sagalog.stores.aside.sqlite import sqlite_aside

        return sqlite_aside(sqlite_path(address), options)
    if address.startswith(("postgresql://", "postgres://")):
        from sagalog.stores.aside.postgres import postgres_aside

        return postgres_aside(address, options)
    raise InvalidSettings("expected a SQLite file or a PostgreSQL database, of which a copy can be made aside")
