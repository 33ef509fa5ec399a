"""The part of the memory store about workers: which sagas they get, and their leases."""

from collections.abc import Container, Sequence

from msgspec.structs import replace

from sagalog.store import HeldLease, Lease, SilentWorker, StatusRow
from sagalog.stores.memory.looks import MemoryLooks

# How many workers are looked at for a sign of life.
LOOKED_AT = 16


class MemoryWorkers(MemoryLooks):
    """The methods of the port that give sagas to workers, and take them back."""

    def __init__(self) -> None:
        super().__init__()
        self._status: dict[str, StatusRow] = {}
        self._leases: dict[str, Lease] = {}
        self._lengths: dict[str, int] = {}
        # The workers whose sign of life is gone.
        self._silent: set[str] = set()

    def register(self, lease: Lease) -> None:
        """Begin a worker's lease."""
        with self._lock:
            self._leases[lease.worker_id] = lease
            self._lengths[lease.worker_id] = lease.lease_until - lease.started_at
            self._silent.discard(lease.worker_id)

    def renew(self, worker_id: str, until: int) -> bool:
        """Extend a worker's lease; False if it was taken away."""
        with self._lock:
            known = self._leases.get(worker_id)
            if known is not None:
                self._leases[worker_id] = replace(known, lease_until=until)
            self._silent.discard(worker_id)
            return known is not None

    def silence(self, worker_id: str) -> None:
        """Let the sign of life of a worker vanish, as if its process had died; for tests."""
        with self._lock:
            self._silent.add(worker_id)

    def shows_life(self, worker_id: str) -> bool:
        """Return False if the sign of life of a worker is gone."""
        return worker_id not in self._silent

    def end_sign(self, worker_id: str) -> None:
        """Let go of a worker's sign of life."""
        if worker_id in self._leases:
            self.silence(worker_id)

    def leases(self) -> list[HeldLease]:
        """Return the leases of all workers."""
        with self._lock:
            return [HeldLease(name, one.lease_until, self._lengths[name]) for name, one in self._leases.items()]

    def end_lease(self, lease: HeldLease) -> None:
        """End a lease, unless it has been renewed since it was read."""
        with self._lock:
            known = self._leases.get(lease.worker_id)
            if known is not None and known.lease_until == lease.lease_until:
                del self._leases[lease.worker_id]

    def claim(
        self, worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()
    ) -> list[StatusRow]:
        """Give due sagas without an owner, or with messages, to a worker."""
        with self._lock:
            chosen = [*self.due(definitions, now, limit, but), *self.with_mail(definitions, limit, but)]
            return self._take(worker_id, list(dict.fromkeys(chosen))[:limit])

    def claim_due(
        self, worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()
    ) -> list[StatusRow]:
        """Give due sagas to a worker, without looking at any inbox."""
        with self._lock:
            return self._take(worker_id, self.due(definitions, now, limit, but))

    def _take(self, worker_id: str, saga_ids: Sequence[str]) -> list[StatusRow]:
        taken = [replace(self._status[one], owner=worker_id) for one in saga_ids]
        for row in taken:
            self._status[row.saga_id] = row
        return taken

    def due(self, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of due sagas that nobody owns."""
        with self._lock:
            free = self._unowned(definitions, but)
        due = [(row.due_at, row.saga_id) for row in free if row.due_at is not None and row.due_at <= now]
        return [saga_id for _, saga_id in sorted(due)[:limit]]

    def with_mail(self, definitions: Sequence[str], limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of unowned sagas with messages in their inbox."""
        with self._lock:
            return self._messages.recipients({row.saga_id for row in self._unowned(definitions, but)})[:limit]

    def _unowned(self, definitions: Sequence[str], but: Sequence[str]) -> list[StatusRow]:
        free = [row for row in self._status.values() if row.owner is None and row.definition in definitions]
        return [row for row in free if row.saga_id not in but]

    def free(self, now: int, but: Sequence[str] = (), near: str = "") -> list[SilentWorker]:
        """Take leases and some sagas from dead workers, except the sagas of `but`; return who shows no sign of life."""
        with self._lock:
            self._free_the_dead(now, but)
            others = sorted(self._leases.keys() - {near}, key=lambda one: (one < near, one))
            silent = {one for one in others[:LOOKED_AT] if not self.shows_life(one)}
            return [
                SilentWorker(one, self._leases[one.worker_id].host, self._leases[one.worker_id].pid)
                for one in self.leases()
                if one.worker_id in silent
            ]

    def lost(self, now: int, limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of sagas whose owners are dead."""
        with self._lock:
            alive = {worker for worker, lease in self._leases.items() if lease.lease_until > now}
            owned = [row for row in self._status.values() if row.owner is not None and row.owner not in alive]
            return [row.saga_id for row in owned if row.saga_id not in but][:limit]

    def free_these(self, now: int, saga_ids: Sequence[str]) -> None:
        """Free those of these sagas whose owners are dead."""
        with self._lock:
            self._free_the_dead(now, self._status.keys() - set(saga_ids))

    def _free_the_dead(self, now: int, but: Container[str] = ()) -> None:
        for worker in [worker for worker, lease in self._leases.items() if lease.lease_until <= now]:
            del self._leases[worker]
        # A worker may have begun a saga after its lease was taken, before it found out; no lease leads to such a saga.
        for row in list(self._status.values()):
            if row.owner is not None and row.owner not in self._leases and row.saga_id not in but:
                self._status[row.saga_id] = replace(row, owner=None)
        self._messages.free([owner for owner in self._messages.owners() if owner not in self._leases])

    def claim_one(self, worker_id: str, saga_id: str, now: int) -> bool:
        """Give one saga to a worker, due or not."""
        with self._lock:
            self._free_the_dead(now)
            row = self._status.get(saga_id)
            if row is None or row.owner not in (None, worker_id):
                return False
            self._status[saga_id] = replace(row, owner=worker_id)
            return True

    def owned(self, worker_id: str) -> list[str]:
        """Return the ids of the sagas that a worker owns."""
        with self._lock:
            return [row.saga_id for row in self._status.values() if row.owner == worker_id]

    def release(self, worker_id: str, saga_ids: Sequence[str] | None = None) -> None:
        """Give back the named sagas; with None, all sagas of the worker, and its lease."""
        with self._lock:
            if saga_ids is None:
                self._leases.pop(worker_id, None)
                self._messages.free([worker_id])
            self._give_back(worker_id, saga_ids)
        self._hint()

    def _give_back(self, worker_id: str, saga_ids: Sequence[str] | None) -> None:
        for saga_id in list(self._status) if saga_ids is None else saga_ids:
            row = self._status.get(saga_id)
            if row is not None and row.owner == worker_id:
                self._status[saga_id] = replace(row, owner=None)
