"""The part of the port about workers: their leases, what they own and give back, and what the dead leave."""

from collections.abc import Sequence
from typing import Protocol

from sagalog.store.requests import Lease
from sagalog.store.rows import HeldLease


class Leases(Protocol):
    """A store that knows which workers are alive."""

    def register(self, lease: Lease) -> None:
        """Begin a worker's lease."""
        ...

    def renew(self, worker_id: str, until: int) -> bool:
        """Extend a worker's lease; False if it was taken away, and with it every saga that the worker owned."""
        ...

    def leases(self) -> list[HeldLease]:
        """Return the leases of all workers."""
        ...

    def end_lease(self, lease: HeldLease) -> None:
        """Take a lease away, unless it has been renewed since it was seen so."""
        ...

    def free(self, now: int, but: Sequence[str] = ()) -> None:
        """Take their leases and some sagas from workers that are dead by `now`; those of `but` are left as they are.

        With its lease a worker loses whatever it owns, and is told when it renews. Who has no lease, having lost it
        without being told yet, counts as dead. Consumers of the dead stay theirs until somebody takes them.
        """
        ...

    def lost(self, now: int, limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of sagas that `free` would free: up to `limit`, or up to `limit` of each owner."""
        ...

    def free_these(self, now: int, saga_ids: Sequence[str]) -> None:
        """Free those of these sagas whose owners are dead by `now`, with the leases of these owners only."""
        ...

    def owned(self, worker_id: str) -> list[str]:
        """Return the ids of the sagas that a worker owns: after a claim without an answer it has to ask."""
        ...

    def release(self, worker_id: str, saga_ids: Sequence[str] | None = None) -> None:
        """Give sagas back: those named, or all of the worker's, with its consumers and its lease."""
        ...
