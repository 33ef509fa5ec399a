"""The part of the PostgreSQL store about workers: which sagas they get, and their leases."""

import logging
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager

from msgspec.structs import astuple

from sagalog.errors import StoreError
from sagalog.store import HeldLease, Lease, SilentWorker, StatusRow
from sagalog.stores.postgres.connection import BoundedConnection, Connections
from sagalog.stores.queries import Queries
from sagalog.stores.signs import Signs

logger = logging.getLogger("sagalog.stores")

FREE_AT_ONCE = 1000


class PostgresWorkers(Queries):
    """The methods of the port that give sagas to workers, and take them back."""

    _token: str
    _signs: Signs

    @abstractmethod
    def _named_errors(self) -> AbstractContextManager[Connections]: ...

    @abstractmethod
    def _transaction(self, seconds: float | None = None) -> AbstractContextManager[BoundedConnection]: ...

    def register(self, lease: Lease) -> None:
        """Begin a worker's lease."""
        with self._named_errors() as connections, connections.lease() as connection:
            connection.run("register", astuple(lease))
        self._show_life(lease.worker_id)

    def renew(self, worker_id: str, until: int) -> bool:
        """Extend a worker's lease; False if it was taken away.

        The lease comes first: another lock takes a connection, and nothing stands before a renewal.
        """
        shown = self._signs.shown(worker_id)
        with self._named_errors() as connections, connections.lease() as connection:
            block = "renew" if shown else "renew_without_a_sign"
            held = connection.run(block, (until, worker_id)).rowcount == 1
        if held and (not shown or self._signs.lacks(worker_id)):
            self._show_life(worker_id)
        return held

    def _show_life(self, worker_id: str) -> None:
        """Take a lock and say which; if that fails it is tried again when the lease is renewed."""
        lock = self._signs.take(worker_id)
        if lock is None:
            return
        try:
            with self._named_errors() as connections, connections.lease() as connection:
                connection.run("show_life", (lock, worker_id))
        except StoreError as problem:
            logger.info("it is not known whether it is written how worker %s shows life: %s", worker_id, problem)
            self._signs.lose(worker_id)
        else:
            self._signs.is_written(worker_id)

    def shows_life(self, worker_id: str) -> bool:
        """Return False if a worker of this store has lost its sign of life."""
        return self._signs.shown(worker_id)

    def end_sign(self, worker_id: str) -> None:
        """Let go of the sign of life of a worker of this store."""
        self._signs.end(worker_id)

    def end_lease(self, lease: HeldLease) -> None:
        """End a lease, unless it has been renewed since it was read."""
        with self._transaction() as connection, connection.pipeline():
            connection.run("rows_soon")
            connection.run("end_lease", (lease.worker_id, lease.lease_until))

    def claim(
        self, worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()
    ) -> list[StatusRow]:
        """Give due sagas without an owner, or with messages, to a worker; if there are none, write nothing."""
        return self._claim("claim", worker_id, definitions, now, limit, but)

    def claim_due(
        self, worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()
    ) -> list[StatusRow]:
        """Give due sagas to a worker, without touching the table of inboxes."""
        return self._claim("claim_due", worker_id, definitions, now, limit, but)

    def _claim(
        self, block: str, worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Sequence[str]
    ) -> list[StatusRow]:
        with self._named_errors() as connections, connections.writer() as connection:
            with connection.pipeline():
                connection.run("begin")
                connection.run("rows_soon")
                claimed = connection.run(block, (list(definitions), now, limit, worker_id, list(but)))
                connection.run("commit")
            rows = [StatusRow(*row) for row in claimed.fetchall()]
        return sorted(rows, key=lambda row: (row.due_at is None or row.due_at > now, row.due_at or 0, row.saga_id))

    def claim_one(self, worker_id: str, saga_id: str, now: int) -> bool:
        """Give one saga to a worker, due or not."""
        with self._named_errors() as connections, connections.writer() as connection:
            with connection.pipeline():
                connection.run("begin")
                connection.run("rows_soon")
                connection.run("forget_their_owners", (now, [saga_id]))
                claimed = connection.run("claim_one", (worker_id, saga_id))
                connection.run("commit")
            return claimed.rowcount == 1

    def free(self, now: int, but: Sequence[str] = (), near: str = "") -> list[SilentWorker]:
        """Take leases and some sagas from dead workers; if there are none, write nothing. Say who shows no life.

        It is called at each poll, so it must not use the writing connection without need.
        """
        looked_at = self._look("anything_lost", now=now, but=self._list(but), near=near)
        if looked_at[0][0]:
            with self._transaction() as connection, connection.pipeline():
                connection.run("rows_soon")
                connection.run("forget_the_dead", (now,))
                connection.run("free_some", (FREE_AT_ONCE, list(but)))
        silent = [row[1:] for row in looked_at if row[1] is not None]
        return [SilentWorker(HeldLease(*lease), host, pid) for *lease, host, pid in silent]

    def free_these(self, now: int, saga_ids: Sequence[str]) -> None:
        """Free those of these sagas whose owners are dead."""
        with self._transaction() as connection, connection.pipeline():
            connection.run("rows_soon")
            connection.run("forget_their_owners", (now, list(saga_ids)))
            connection.run("free_these", (list(saga_ids),))

    def release(self, worker_id: str, saga_ids: Sequence[str] | None = None) -> None:
        """Give back the named sagas; with None, all sagas of the worker, and its lease."""
        with self._transaction() as connection, connection.pipeline():
            connection.run("rows_soon")
            if saga_ids is None:
                connection.run("give_back_consumers", (worker_id,))
                connection.run("give_back_jobs", (worker_id,))
                connection.run("give_back_all", (worker_id,))
                connection.run("forget_worker", (worker_id,))
            else:
                connection.run("give_back", (worker_id, list(saga_ids)))
            connection.run("notify", (self._token,))
        if saga_ids is None:
            self._signs.end(worker_id)
