"""Gaps in the ids of an application's log on PostgreSQL: rolled back, or still to be committed? It decodes nothing.

A recorder normally locks its table before it draws ids, so a gap is a rollback. With `POSTGRES_ENABLE_DB_FUNCTIONS` it
takes no lock, and a lower id may be committed after a higher one. So a gap is skipped only after all transactions that
wrote without the lock when it was seen have ended. Then the page is read again.
"""

from collections.abc import Callable, Sequence

from eventsourcing.persistence import ApplicationRecorder, Notification
from eventsourcing.postgres import PostgresApplicationRecorder

from sagalog.stores.sql import statements

SQL = statements("sagalog.stores.followed", "postgres.sql")

Select = Callable[[int, int, int | None], Sequence[Notification]]


class Gaps:
    """A recorder's log, read up to the first gap that a transaction may still fill."""

    def __init__(self, recorder: ApplicationRecorder) -> None:
        assert isinstance(recorder, PostgresApplicationRecorder)
        self._recorder = recorder
        # While a gap is examined: the last id that was seen then, and the transactions that may still fill the gap.
        self._through: int | None = None
        self._waited_for: set[str] = set()

    def read(self, select: Select, after: int, limit: int) -> tuple[Sequence[Notification], bool]:
        """Return entries above `after`, and whether there are none missing up to the last of them."""
        found = select(after, limit, self._through)
        gap = _first_gap(after, found)
        if gap is None:
            bounded, self._through = self._through is not None, None
            return (found, True) if found or not bounded else self.read(select, after, limit)
        writers = self._unlocked_writers()
        if self._through is None:
            self._through, self._waited_for = found[-1].id, writers
        self._waited_for &= writers
        if self._waited_for:
            return found[:gap], False
        # All transactions that may fill the gap have ended before this second read.
        through, self._through = self._through, None
        return select(after, limit, through), True

    def _unlocked_writers(self) -> set[str]:
        datastore = self._recorder.datastore
        table = f'"{datastore.schema}"."{self._recorder.events_table_name}"'
        with datastore.get_connection() as connection, connection.cursor() as cursor:
            cursor.execute(SQL["unlocked_writers"].encode(), (table,))
            return {row["writer"] for row in cursor.fetchall()}


def _first_gap(after: int, found: Sequence[Notification]) -> int | None:
    """Return the index of the first entry before which an id is missing; None if none is."""
    if not found or found[-1].id - after == len(found):
        return None
    return next(n for n, one in enumerate(found) if one.id != after + n + 1)
