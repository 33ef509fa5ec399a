"""Witnesses in a process that may be killed: what was asked of its store and its services, and what they acknowledged.

They stand between the engine and what it uses, change nothing, and write each fact to the process's own journal before
the engine can act on it. What a journal says is thus a lower bound of what the process knew, to the last line.
"""

import hashlib
import itertools
import json
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

from sagalog.store import (
    Append,
    AppendOutcome,
    HeldLease,
    Lease,
    Posting,
    PostOutcome,
    Route,
    RouteOutcome,
    StatusRow,
    Store,
    StoredEvent,
)


class Journal:
    """Lines of JSON that outlive the process: `[kind, microseconds, ...]`."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, kind: str, *fields: object) -> None:
        """Write a line with one system call; it begins with its line end, so that a torn one spoils no other."""
        os.write(self._file, b"\n" + json.dumps([kind, time.time_ns() // 1000, *fields]).encode())


def lines(path: Path) -> Iterator[list[Any]]:
    """Read a journal; a line that a SIGKILL tore is one that was not written."""
    for line in path.read_bytes().split(b"\n"):
        try:
            yield json.loads(line)
        except ValueError:
            continue


def fingerprint(events: Sequence[tuple[str, bytes]]) -> str:
    """Return what tells one append's events from all others: they hold when they began and ended."""
    found = hashlib.blake2b(digest_size=12)
    for topic, state in events:
        found.update(topic.encode() + b"\0" + state + b"\0")
    return found.hexdigest()


def _tried(appends: Sequence[Append]) -> list[list[object]]:
    return [[one.saga_id, one.holder, one.expected, len(one.events), fingerprint(one.events)] for one in appends]


def _is_begun(append: Append) -> bool:
    """Tell whether a worker begins a saga for itself by this append."""
    return append.holder is None and append.status.owner is not None


class WitnessedStore:
    """A store whose every write and read is noted; see `witnessed`."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal
        self._numbers = itertools.count()
        # Since when each saga that a worker begins for itself may have been written, and so be that worker's.
        self._begun_since: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def append(self, appends: Sequence[Append]) -> list[AppendOutcome]:
        what = _tried(appends)
        self._begin(appends)
        self._journal.write("tried", what)
        at_rest: dict[str, list[str]] = {}
        for one in appends:
            if one.holder is not None and one.status.owner is None:  # it is nobody's any more
                at_rest.setdefault(one.holder, []).append(one.saga_id)
        with ExitStack() as given_back:
            for holder, saga_ids in at_rest.items():
                given_back.enter_context(self._giving_back(holder, saga_ids))
            outcomes = self._store.append(appends)
        self._journal.write("told", what, outcomes)
        self._note_begun(appends, outcomes)
        return outcomes

    def post(self, postings: Sequence[Posting]) -> list[PostOutcome]:
        outcomes = self._store.post(postings)
        written = [one for one, outcome in zip(postings, outcomes, strict=True) if outcome == "written"]
        # A command that a saga issued is an event of that saga: what is posted here is a stream of its own.
        if ids := [message.id for one in written for message in one.messages]:
            self._journal.write("posted", ids)
        return outcomes

    def route(self, route: Route) -> RouteOutcome:
        what = _tried(route.starts)
        self._begin(route.starts)
        if what:
            self._journal.write("tried", what)
        outcome = self._store.route(route)
        if what:
            self._journal.write("told", what, [outcome] * len(what))
        if outcome == "written" and route.starts:
            self._note_begun(route.starts, [outcome] * len(what))
        return outcome

    def _begin(self, appends: Sequence[Append]) -> None:
        """Take note of when sagas may be written at the earliest; whose answer is lost is written once more."""
        now = time.time_ns() // 1000
        for one in appends:
            if _is_begun(one):
                self._begun_since.setdefault(one.saga_id, now)

    def _note_begun(self, appends: Sequence[Append], outcomes: Sequence[str]) -> None:
        """Note sagas that a worker begins for itself: it has them from their first event on, and never claims them.

        By the time it is told, it may have stood still for so long that another has taken them over.
        """
        for one, outcome in zip(appends, outcomes, strict=True):
            since = self._begun_since.pop(one.saga_id, 0)
            if outcome == "written" and _is_begun(one):
                self._journal.write("claimed", one.status.owner, since, [one.saga_id])

    def read(self, saga_id: str, after: int = 0) -> list[StoredEvent]:
        found = self._store.read(saga_id, after)
        self._journal.write("seen", [[saga_id, after + len(found)]])
        return found

    def read_many(self, saga_ids: Sequence[str]) -> dict[str, list[StoredEvent]]:
        found = self._store.read_many(saga_ids)
        self._journal.write("seen", [[saga_id, len(stream)] for saga_id, stream in found.items()])
        return found

    def claim(
        self, worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()
    ) -> list[StatusRow]:
        asked_at = time.time_ns() // 1000  # not `now`, which is told by a clock that may be wrong
        rows = self._store.claim(worker_id, definitions, now, limit, but)
        if rows:
            self._journal.write("claimed", worker_id, asked_at, [row.saga_id for row in rows])
        return rows

    def claim_due(
        self, worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()
    ) -> list[StatusRow]:
        asked_at = time.time_ns() // 1000
        rows = self._store.claim_due(worker_id, definitions, now, limit, but)
        if rows:
            self._journal.write("claimed", worker_id, asked_at, [row.saga_id for row in rows])
        return rows

    def owned(self, worker_id: str) -> list[str]:
        asked_at = time.time_ns() // 1000
        saga_ids = self._store.owned(worker_id)
        if saga_ids:
            self._journal.write("claimed", worker_id, asked_at, saga_ids)
        return saga_ids

    def claim_one(self, worker_id: str, saga_id: str, now: int) -> bool:
        asked_at = time.time_ns() // 1000
        taken = self._store.claim_one(worker_id, saga_id, now)
        if taken:
            self._journal.write("claimed", worker_id, asked_at, [saga_id])
        return taken

    def register(self, lease: Lease) -> None:
        self._store.register(lease)
        self._journal.write("leased", lease.worker_id, lease.lease_until)

    def renew(self, worker_id: str, until: int) -> bool:
        renewed = self._store.renew(worker_id, until)
        if renewed:
            self._journal.write("leased", worker_id, until)
        return renewed

    def end_lease(self, lease: HeldLease) -> None:
        # Before it is written: who claims what it frees may be another process.
        self._journal.write("ending", lease.worker_id)
        self._store.end_lease(lease)

    def release(self, worker_id: str, saga_ids: Sequence[str] | None = None) -> None:
        with self._giving_back(worker_id, saga_ids):
            self._store.release(worker_id, saga_ids)

    @contextmanager
    def _giving_back(self, worker_id: str, saga_ids: Sequence[str] | None) -> Generator[None]:
        """Note when sagas may be given back at the earliest and, unless the process ends, at the latest."""
        number = next(self._numbers)
        what = None if saga_ids is None else list(saga_ids)
        self._journal.write("releasing", number, worker_id, what)
        try:
            yield
        finally:
            self._journal.write("released", number)


def witnessed(store: Store, journal: Journal) -> Store:
    """Return the store with a witness before it."""
    return cast(Store, WitnessedStore(store, journal))


class WitnessedService:
    """A service that notes each operation under a key before it is asked for; `slow` seconds pass between the two."""

    def __init__(self, service: object, journal: Journal, slow: float) -> None:
        self._service = service
        self._journal = journal
        self._slow = slow

    def __getattr__(self, name: str) -> Any:
        operation: Callable[..., Any] = getattr(self._service, name)

        def noted(*arguments: object, key: str, **named: object) -> Any:
            self._journal.write("called", key)
            # The service is far away: this is no test's wait, but what a test finds the worker in the middle of.
            time.sleep(self._slow)
            return operation(*arguments, key=key, **named)

        return noted


def witnessed_services(services: Mapping[type, object], journal: Journal, slow: float) -> dict[type, object]:
    """Return the services with a witness before each."""
    return {kind: WitnessedService(service, journal, slow) for kind, service in services.items()}
