"""The part of the port about workers: their leases, what they own, and what is taken from dead ones."""

from collections.abc import Sequence
from typing import Protocol

from sagalog.store.requests import Lease
from sagalog.store.rows import HeldLease, SilentWorker


class Leases(Protocol):
    """The role of a store to keep the leases of workers. A worker is dead once its lease is over.

    A worker may show a sign of life, too: a lock that is gone as soon as its process is. Then others need not wait for
    the lease. A sign that is there says nothing: it never makes a lease longer.
    """

    def register(self, lease: Lease) -> None:
        """Begin a worker's lease, and its sign of life if the database can have one."""
        ...

    def renew(self, worker_id: str, until: int) -> bool:
        """Extend a worker's lease; return False if it was taken away, and with it every saga that the worker owned.

        A worker that has lost its sign of life gets another one.
        """
        ...

    def shows_life(self, worker_id: str) -> bool:
        """Return False if a worker of this store has lost its sign of life, so that others may take what it owns.

        True as well for a worker without a sign, of which only the lease tells. It waits for nothing, and is called
        from any thread.
        """
        ...

    def end_sign(self, worker_id: str) -> None:
        """Let go of the sign of life of a worker of this store that goes on under another name."""
        ...

    def leases(self) -> list[HeldLease]:
        """Return the leases of all workers."""
        ...

    def end_lease(self, lease: HeldLease) -> None:
        """End a lease, unless it has been renewed since it was read."""
        ...

    def free(self, now: int, but: Sequence[str] = (), near: str = "") -> list[SilentWorker]:
        """Take the leases and some sagas of workers that are dead by `now`; sagas of `but` are left as they are.

        A worker that loses its lease loses all it owns, and finds out when it renews. An owner without a lease counts
        as dead, too. Consumers and jobs of a dead worker stay its own until another worker takes them.

        Return those workers whose sign of life is gone, among the few that come next after the name
        `near`, and after the last name the first ones. Nothing is taken from them: a sign may come back.
        """
        ...

    def lost(self, now: int, limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of sagas that `free` would free: up to `limit` in all, or up to `limit` for each owner."""
        ...

    def free_these(self, now: int, saga_ids: Sequence[str]) -> None:
        """Free those of these sagas whose owners are dead by `now`, and end only the leases of these owners."""
        ...

    def owned(self, worker_id: str) -> list[str]:
        """Return the ids of the sagas that a worker owns, for instance after a claim whose answer was lost."""
        ...

    def release(self, worker_id: str, saga_ids: Sequence[str] | None = None) -> None:
        """Give back the named sagas; with None, all sagas of the worker, its consumers, its jobs and its lease."""
        ...
