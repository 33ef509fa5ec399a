"""Sagas in memory: for tests, simulations and trying things out. Nothing survives the process."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from sagalog.errors import StoreError
from sagalog.store import Append, AppendOutcome, Lease, Query, StatusRow, StepRow, StoredEvent


class MemoryStore:
    """Implement the store port on dictionaries under one lock; several process managers may share one."""

    name = "memory"

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._log: list[StoredEvent] = []
        self._streams: dict[str, list[StoredEvent]] = {}
        self._status: dict[str, StatusRow] = {}
        self._steps: dict[str, dict[tuple[str, str], StepRow]] = {}
        self._keys: dict[tuple[str, str, int], str] = {}
        self._leases: dict[str, Lease] = {}
        self._hints: list[Callable[[], None]] = []

    def open(self) -> None:
        """Do nothing: there is nothing to connect to."""

    def close(self) -> None:
        """Keep everything, so that the same store can be opened again."""

    def append(self, appends: Sequence[Append]) -> list[AppendOutcome]:
        """Write each append that fits; a conflict fails only its own."""
        with self._lock:
            outcomes: list[AppendOutcome] = [self._append(one) for one in appends]
            hints = list(self._hints)
        for hint in hints:
            hint()
        return outcomes

    def _append(self, one: Append) -> AppendOutcome:
        row = self._status.get(one.saga_id)
        if one.expected == 0 and row is None:
            key = (one.status.saga_name, one.status.saga_key, one.status.run)
            if key in self._keys:
                return "exists"
            self._keys[key] = one.saga_id
        elif row is None or row.version != one.expected or row.owner != one.holder:
            return "written" if self._landed(one) else "conflict"
        stream = self._streams.setdefault(one.saga_id, [])
        for topic, state in one.events:
            stored = StoredEvent(len(self._log) + 1, one.saga_id, len(stream) + 1, topic, state)
            stream.append(stored)
            self._log.append(stored)
        position = len(self._log)
        self._status[one.saga_id] = replace(one.status, position=position)
        steps = self._steps.setdefault(one.saga_id, {})
        for step in one.steps:
            steps[step.step, step.direction] = replace(step, position=position)
        return "written"

    def _landed(self, one: Append) -> bool:
        stream = self._streams.get(one.saga_id, [])
        mine = stream[one.expected : one.expected + len(one.events)]
        return [(event.topic, event.state) for event in mine] == list(one.events)

    def read(self, saga_id: str, after: int = 0) -> list[StoredEvent]:
        """Return the saga's events above version `after`."""
        with self._lock:
            return self._streams.get(saga_id, [])[after:]

    def read_many(self, saga_ids: Sequence[str]) -> dict[str, list[StoredEvent]]:
        """Return the events of several sagas."""
        return {saga_id: self.read(saga_id) for saga_id in saga_ids}

    def read_log(self, after: int, limit: int) -> list[StoredEvent]:
        """Return events of all sagas above position `after`."""
        with self._lock:
            return self._log[after : after + limit]

    def status(self, saga_id: str) -> StatusRow | None:
        """Return a saga's row."""
        return self._status.get(saga_id)

    def statuses(self, saga_ids: Sequence[str]) -> dict[str, StatusRow]:
        """Return the rows of those sagas that exist."""
        return {saga_id: self._status[saga_id] for saga_id in saga_ids if saga_id in self._status}

    def latest_run(self, saga_name: str, key: str) -> StatusRow | None:
        """Return the newest run of a key."""
        with self._lock:
            found, run = None, 1
            while (saga_id := self._keys.get((saga_name, key, run))) is not None:
                found, run = self._status[saga_id], run + 1
            return found

    def find(self, query: Query) -> list[StatusRow]:
        """Return the rows that match, newest first."""
        with self._lock:
            rows = sorted(self._status.values(), key=lambda row: row.saga_id, reverse=True)
        return [row for row in rows if _matches(row, query)][: query.limit]

    def steps(self, saga_id: str) -> list[StepRow]:
        """Return a saga's step rows in the order in which they began."""
        with self._lock:
            rows = list(self._steps.get(saga_id, {}).values())
        return sorted(rows, key=lambda row: (row.direction, row.ordinal))

    def counts(self) -> list[tuple[str, str, int]]:
        """Return (saga name, status, number of sagas)."""
        found: dict[tuple[str, str], int] = {}
        with self._lock:
            for row in self._status.values():
                found[row.saga_name, row.status] = found.get((row.saga_name, row.status), 0) + 1
        return [(name, status, number) for (name, status), number in sorted(found.items())]

    def unloaded(self, definitions: Sequence[str]) -> list[tuple[str, int, str, int]]:
        """Return (name, version, digest, number) of sagas not ended with another definition."""
        found: dict[tuple[str, int, str], int] = {}
        with self._lock:
            for row in self._status.values():
                if row.ended_at is None and row.definition not in definitions:
                    what = (row.saga_name, row.saga_version, row.definition)
                    found[what] = found.get(what, 0) + 1
        return [(*what, number) for what, number in sorted(found.items())]

    def register(self, lease: Lease) -> None:
        """Begin a worker's lease."""
        with self._lock:
            self._leases[lease.worker_id] = lease

    def renew(self, worker_id: str, until: int) -> bool:
        """Extend a worker's lease; False if it was taken away."""
        with self._lock:
            known = self._leases.get(worker_id)
            if known is not None:
                self._leases[worker_id] = replace(known, lease_until=until)
            return known is not None

    def claim(self, worker_id: str, definitions: Sequence[str], now: int, limit: int) -> list[StatusRow]:
        """Give due sagas that no live worker owns to a worker."""
        with self._lock:
            self._free_the_dead(now)
            due = [
                row
                for row in self._status.values()
                if row.owner is None and row.due_at is not None and row.due_at <= now and row.definition in definitions
            ]
            due.sort(key=lambda row: (row.due_at, row.saga_id))
            taken = [replace(row, owner=worker_id) for row in due[:limit]]
            for row in taken:
                self._status[row.saga_id] = row
            return taken

    def _free_the_dead(self, now: int) -> None:
        for worker in [worker for worker, lease in self._leases.items() if lease.lease_until <= now]:
            del self._leases[worker]
        # A worker that has not been told yet may have begun a saga after its lease was taken: nobody else would look.
        for row in list(self._status.values()):
            if row.owner is not None and row.owner not in self._leases:
                self._status[row.saga_id] = replace(row, owner=None)

    def claim_one(self, worker_id: str, saga_id: str, now: int) -> bool:
        """Give one saga to a worker whether it is due or not."""
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
        """Give sagas back: those named, or all of the worker's and its lease with them."""
        with self._lock:
            if saga_ids is None:
                self._leases.pop(worker_id, None)
            self._give_back(worker_id, saga_ids)
            hints = list(self._hints)
        for hint in hints:
            hint()

    def _give_back(self, worker_id: str, saga_ids: Sequence[str] | None) -> None:
        for saga_id in list(self._status) if saga_ids is None else saga_ids:
            row = self._status.get(saga_id)
            if row is not None and row.owner == worker_id:
                self._status[saga_id] = replace(row, owner=None)

    def rewrite(self, rows: Sequence[StatusRow], steps: Sequence[StepRow]) -> None:
        """Replace the read model's rows of these sagas."""
        with self._lock:
            for row in rows:
                self._status[row.saga_id] = replace(row, owner=self._status[row.saga_id].owner)
                self._steps[row.saga_id] = {}
            for step in steps:
                self._steps[step.saga_id][step.step, step.direction] = step

    def watch(self, hint: Callable[[], None]) -> Callable[[], None]:
        """Call `hint` after every write."""
        self._hints.append(hint)
        return lambda: self._hints.remove(hint) if hint in self._hints else None

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Refuse: memory speaks no SQL."""
        raise StoreError("the memory store speaks no SQL; use sqlite:///... or postgresql://...")


def _matches(row: StatusRow, query: Query) -> bool:
    return (
        (query.saga_name is None or row.saga_name == query.saga_name)
        and (not query.statuses or row.status in query.statuses)
        and (query.key is None or row.saga_key == query.key)
        and (query.error is None or query.error.lower() in f"{row.error_type or ''} {row.error_text or ''}".lower())
        and (query.started_before is None or row.started_at < query.started_before)
        and (query.started_after is None or row.started_at >= query.started_after)
        and (query.before is None or row.saga_id < query.before)
    )
