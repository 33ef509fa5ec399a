"""The part of the SQLite store about workers: which sagas they get, and their leases."""

import json
import sqlite3
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from msgspec.structs import astuple, replace

from sagalog.store import HeldLease, Lease, SilentWorker, StatusRow
from sagalog.stores.queries import Queries
from sagalog.stores.signs import Signs
from sagalog.stores.sqlite.connection import rows_of
from sagalog.stores.sqlite.life import LifeFiles
from sagalog.stores.sqlite.writing import SQL, free_the_dead


class SQLiteWorkers(Queries):
    """The methods of the port that give sagas to workers, and take them back."""

    _signs: Signs
    _files: LifeFiles

    @abstractmethod
    def _transaction(self, commit: bool) -> AbstractContextManager[sqlite3.Cursor]: ...

    def register(self, lease: Lease) -> None:
        """Begin a worker's lease, and its sign of life, which is locked before anybody may look for it."""
        lock = self._signs.take(lease.worker_id)
        try:
            with self._transaction(commit=True) as cursor:
                cursor.execute(SQL["register"], (*astuple(lease), lease.lease_until - lease.started_at, lock))
                known = _life_locks(cursor)
        except BaseException:
            self._signs.end(lease.worker_id)
            raise
        self._signs.is_written(lease.worker_id)
        if lock is not None:
            self._files.tidy(known)

    def renew(self, worker_id: str, until: int) -> bool:
        """Extend a worker's lease; False if it was taken away."""
        if self._signs.shown(worker_id) and not self._signs.lacks(worker_id):
            with self._transaction(commit=True) as cursor:
                return cursor.execute(SQL["renew"], (until, worker_id)).rowcount == 1
        lock = self._signs.take(worker_id)
        try:
            with self._transaction(commit=True) as cursor:
                held = cursor.execute(SQL["renew_with_a_sign"], (until, lock, worker_id)).rowcount == 1
        except BaseException:
            # Perhaps nobody knows of the new one.
            self._signs.lose(worker_id)
            raise
        if held:
            self._signs.is_written(worker_id)
        return held

    def shows_life(self, worker_id: str) -> bool:
        """Return False if a worker of this store has lost its sign of life."""
        return self._signs.shown(worker_id)

    def end_sign(self, worker_id: str) -> None:
        """Let go of the sign of life of a worker of this store."""
        self._signs.end(worker_id)

    def end_lease(self, lease: HeldLease) -> None:
        """End a lease, unless it has been renewed since it was read."""
        with self._transaction(commit=True) as cursor:
            cursor.execute(SQL["end_lease"], (lease.worker_id, lease.lease_until))

    def claim(
        self, worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()
    ) -> list[StatusRow]:
        """Give due sagas without an owner, or with messages, to a worker."""
        wanted = {"now": now, "definitions": self._list(definitions), "but": self._list(but)}
        # The look before uses no write transaction, so that idle workers do not disturb busy ones.
        is_any = self._look("anything_due", **wanted)[0][0]
        return self._claim(worker_id, wanted, limit, "due", "with_mail") if is_any else []

    def claim_due(
        self, worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()
    ) -> list[StatusRow]:
        """Give due sagas to a worker, without looking at any inbox."""
        wanted = {"now": now, "definitions": self._list(definitions), "but": self._list(but)}
        is_any = self._look("due", **wanted, limit=1)
        return self._claim(worker_id, wanted, limit, "due") if is_any else []

    def _claim(self, worker_id: str, wanted: Mapping[str, Any], limit: int, *looks: str) -> list[StatusRow]:
        rows: list[sqlite3.Row] = []
        with self._transaction(commit=True) as cursor:
            for look in looks:
                found = rows_of(cursor, SQL[look], {**wanted, "limit": limit - len(rows)})
                these = json.dumps([row["saga_id"] for row in found])
                if found and cursor.execute(SQL["take"], (worker_id, these)).rowcount != len(found):
                    taken = {row[0] for row in cursor.execute(SQL["taken"], (worker_id, these))}
                    found = [row for row in found if row["saga_id"] in taken]
                rows += found
        return [replace(StatusRow(*row), owner=worker_id) for row in rows]

    def claim_one(self, worker_id: str, saga_id: str, now: int) -> bool:
        """Give one saga to a worker, due or not."""
        with self._transaction(commit=True) as cursor:
            cursor.execute(SQL["forget_their_owners"], {"now": now, "saga_ids": json.dumps([saga_id])})
            return cursor.execute(SQL["claim_one"], {"worker_id": worker_id, "saga_id": saga_id}).rowcount == 1

    def free(self, now: int, but: Sequence[str] = (), near: str = "") -> list[SilentWorker]:
        """Take leases and some sagas from dead workers; if there are none, write nothing. Say who shows no life."""
        looked_at = self._look("anything_lost", now=now, but=self._list(but), near=near)
        if looked_at[0][0]:
            with self._transaction(commit=True) as cursor:
                free_the_dead(cursor, now, but)
        return [
            # The end of a process ends the lock on its file, and nothing else but code that closes whatever is open.
            SilentWorker(HeldLease(*lease), host, pid, is_sure=True)
            for _, *lease, host, pid, lock in looked_at
            if lock is not None and self._files.is_free(lock)
        ]

    def free_these(self, now: int, saga_ids: Sequence[str]) -> None:
        """Free those of these sagas whose owners are dead."""
        chosen = {"now": now, "saga_ids": json.dumps(list(saga_ids))}
        with self._transaction(commit=True) as cursor:
            cursor.execute(SQL["forget_their_owners"], chosen)
            cursor.execute(SQL["free_these"], chosen)

    def release(self, worker_id: str, saga_ids: Sequence[str] | None = None) -> None:
        """Give back the named sagas; with None, all sagas of the worker, and its lease."""
        with self._transaction(commit=True) as cursor:
            if saga_ids is None:
                cursor.execute(SQL["give_back_consumers"], (worker_id,))
                cursor.execute(SQL["give_back_jobs"], (worker_id,))
                cursor.execute(SQL["give_back_all"], (worker_id,))
                cursor.execute(SQL["forget_worker"], (worker_id,))
                known = _life_locks(cursor)
            else:
                cursor.execute(SQL["give_back"], (worker_id, json.dumps(list(saga_ids))))
                return
        self._signs.end(worker_id)
        self._files.tidy(known)


def _life_locks(cursor: sqlite3.Cursor) -> set[int]:
    return {row[0] for row in cursor.execute(SQL["life_locks"])}
