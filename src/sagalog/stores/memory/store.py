"""Sagas in memory: for tests, simulations and experiments. Nothing survives the process."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from operator import itemgetter
from typing import Any

from msgspec.structs import replace

from sagalog.codec import encode_json
from sagalog.errors import StoreError
from sagalog.messages import Envelope
from sagalog.store import (
    Append,
    AppendOutcome,
    AttributeRow,
    CommandRow,
    ConsumerRow,
    InboxRow,
    Posting,
    PostOutcome,
    Query,
    Route,
    RouteOutcome,
    Selection,
    StatusRow,
    StepRow,
    StoredEvent,
)
from sagalog.store.appending import Companion
from sagalog.store.published import PUBLISHED, stream_of
from sagalog.stores.memory.attributes import MemoryAttributes
from sagalog.stores.memory.jobs import MemoryJobs
from sagalog.stores.memory.matching import meets_conditions, saga_matches
from sagalog.stores.texts import check_postings, check_route


class MemoryStore(MemoryJobs):
    """The store port on dictionaries under one lock; several process managers may share one store."""

    name = "memory"

    def __init__(self) -> None:
        super().__init__()
        self._log: list[StoredEvent] = []
        self._streams: dict[str, list[StoredEvent]] = {}
        self._steps: dict[str, dict[tuple[str, str], StepRow]] = {}
        self._keys: dict[tuple[str, str, int], str] = {}
        self._correlated: dict[str, list[str]] = {}
        self._attributes = MemoryAttributes()

    def open(self) -> None:
        """Do nothing: there is nothing to connect to."""

    def close(self) -> None:
        """Keep everything, so that the same store can be opened again."""

    def append(self, appends: Sequence[Append]) -> list[AppendOutcome]:
        """Write each append that fits; a conflict fails only its own append."""
        with self._lock:
            outcomes: list[AppendOutcome] = [self._append(one) for one in appends]
        self._hint()
        return outcomes

    def _append(self, one: Append) -> AppendOutcome:
        outcome = self._fits(one)
        if outcome is None:
            self._write(one)
        return outcome or "written"

    def _fits(self, one: Append) -> AppendOutcome | None:
        """Return the outcome of an append that must not be written; None for one that may be."""
        row = self._status.get(one.saga_id)
        if one.expected == 0 and row is None:
            return "exists" if _key(one.status) in self._keys else self._refused(one)
        if row is None or row.version != one.expected or row.owner != one.holder:
            return "written" if self._landed(one) else "conflict"
        return self._refused(one)

    def _refused(self, one: Append) -> AppendOutcome | None:
        return None if self._messages.holds(one.saga_id, one.taken) else "conflict"

    def _write(self, one: Append) -> None:
        if one.expected == 0:
            self._keys[_key(one.status)] = one.saga_id
            self._correlated.setdefault(one.status.correlation_id, []).append(one.saga_id)
        before = len(self._log)
        for topic, state in one.events:
            self._record(one.saga_id, topic, state)
        position = len(self._log)
        self._status[one.saga_id] = replace(one.status, position=position)
        steps = self._steps.setdefault(one.saga_id, {})
        for step in one.steps:
            steps[step.step, step.direction] = replace(step, position=position)
        for message_id in one.taken:
            self._messages.take(one.saga_id, message_id)
        for index, envelope in sorted(one.messages, key=itemgetter(0)):
            self._messages.add(before + index + 1, envelope)
        for command in one.commands:
            self._messages.issue(command, position)
        for note in one.notes:
            self._messages.note(note, position)
        self._attributes.write(one, position)

    def _record(self, stream_id: str, topic: str, state: bytes) -> None:
        stream = self._streams.setdefault(stream_id, [])
        stored = StoredEvent(len(self._log) + 1, stream_id, len(stream) + 1, topic, state)
        stream.append(stored)
        self._log.append(stored)

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

    def head(self) -> int:
        """Return the position of the last event in the log."""
        with self._lock:
            return len(self._log)

    def status(self, saga_id: str) -> StatusRow | None:
        """Return a saga's row."""
        return self._status.get(saga_id)

    def statuses(self, saga_ids: Sequence[str]) -> dict[str, StatusRow]:
        """Return the rows of those sagas that exist, by saga id."""
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
            attribute = self._attributes.one
            found = [row for row in rows if saga_matches(row, query) and meets_conditions(row, query, attribute)]
        return found[: query.limit]

    def attributes(self, saga_ids: Sequence[str]) -> dict[str, list[AttributeRow]]:
        """Return the attributes of those of these sagas that have any."""
        with self._lock:
            return self._attributes.of(saga_ids)

    def attribute_names(self) -> list[str]:
        """Return every name of an attribute that some saga has."""
        with self._lock:
            return self._attributes.names()

    def steps(self, saga_id: str) -> list[StepRow]:
        """Return a saga's step rows in the order in which they began."""
        with self._lock:
            rows = list(self._steps.get(saga_id, {}).values())
        return sorted(rows, key=lambda row: (row.direction, row.ordinal))

    def steps_many(self, saga_ids: Sequence[str]) -> dict[str, list[StepRow]]:
        """Return the step rows of several sagas."""
        return {saga_id: self.steps(saga_id) for saga_id in saga_ids}

    def counts(self) -> list[tuple[str, str, int]]:
        """Return (saga name, status, number of sagas)."""
        with self._lock:
            found = Counter((row.saga_name, row.status) for row in self._status.values())
        return [(name, status, number) for (name, status), number in sorted(found.items())]

    def unloaded(self, definitions: Sequence[str]) -> list[tuple[str, int, str, int]]:
        """Return (name, version, digest, number) of open sagas with other definitions."""
        found: dict[tuple[str, int, str], int] = {}
        with self._lock:
            for row in self._status.values():
                if row.ended_at is None and row.definition not in definitions:
                    what = (row.saga_name, row.saga_version, row.definition)
                    found[what] = found.get(what, 0) + 1
        return [(*what, number) for what, number in sorted(found.items())]

    def post(self, postings: Sequence[Posting]) -> list[PostOutcome]:
        """Write messages and changes of inbox rows."""
        check_postings(postings)
        with self._lock:
            outcomes: list[PostOutcome] = [self._post(one) for one in postings]
        self._hint()
        return outcomes

    def _post(self, one: Posting) -> PostOutcome:
        if not self._messages.fits(one):
            return "conflict"
        self._publish(one.messages)
        self._messages.settle(one)
        return "written"

    def _publish(self, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            if not self._messages.known(envelope.id):
                self._record(stream_of(envelope.id), PUBLISHED, encode_json(envelope))
                self._messages.add(len(self._log), envelope)

    def route(self, route: Route) -> RouteOutcome:
        """Write the results of a batch and move its consumers on."""
        check_route(route)
        messages = self._messages
        with self._lock:
            in_place = all(messages.may_advance(one) for one in route.advances)
            if not in_place or not all(messages.waits_for_routing(one) for one in route.redelivered):
                return "conflict"
            keys = [_key(one.status) for one in route.starts if one.expected == 0]
            if len({*keys} - self._keys.keys()) < len(keys) or any(self._fits(one) for one in route.starts):
                return "exists"
            for start in route.starts:
                self._append(start)
            self._publish(route.messages)
            for row in route.inbox:
                messages.put(row, route.notes.get(row.message_id))
            for unmatched_id in route.redelivered:
                messages.redelivered(unmatched_id)
            for parked in route.parked:
                messages.park(parked)
            for advance in route.advances:
                messages.advance(advance)
        self._hint()
        return "written"

    def take_consumers(self, worker_id: str, names: Sequence[str], now: int, from_now: bool) -> list[ConsumerRow]:
        """Give a worker those of these consumers that no live worker owns."""
        with self._lock:
            self._free_the_dead(now)
            return self._messages.take_consumers(worker_id, names, now, len(self._log) if from_now else 0)

    def release_consumers(self, worker_id: str, names: Sequence[str]) -> None:
        """Give consumers back."""
        with self._lock:
            self._messages.release_consumers(worker_id, names)
        self._hint()

    def sagas_by_key(self, saga_name: str, keys: Sequence[str]) -> dict[str, StatusRow]:
        """Return the newest run of each of these keys that has one."""
        with self._lock:
            found = {key: self.latest_run(saga_name, key) for key in keys}
        return {key: row for key, row in found.items() if row is not None}

    def sagas_by_correlation(self, saga_name: str | None, correlation_ids: Sequence[str]) -> list[StatusRow]:
        """Return the sagas with these correlation ids."""
        with self._lock:
            ids = sorted({one for each in correlation_ids for one in self._correlated.get(each, ())})
            rows = [self._status[one] for one in ids]
        return [row for row in rows if saga_name in (None, row.saga_name)]

    def mail(self, worker_id: str, limit: int, but: Sequence[str] = ()) -> list[tuple[InboxRow, Envelope]]:
        """Return the inbox rows of the sagas that a worker owns."""
        with self._lock:
            rows = [row for one in self._mailed(worker_id, but) for row in self._messages.rows_of(one)]
            return self._messages.with_envelopes(rows)[:limit]

    def mailed(self, worker_id: str, limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of a worker's sagas that have messages in their inbox."""
        with self._lock:
            return self._mailed(worker_id, but)[:limit]

    def _mailed(self, worker_id: str, but: Sequence[str]) -> list[str]:
        mine = [one for one in self._messages.recipients(self._status) if self._status[one].owner == worker_id]
        return [one for one in mine if one not in but]

    def rewrite(
        self,
        rows: Sequence[StatusRow],
        steps: Sequence[StepRow],
        commands: Sequence[CommandRow] = (),
        attributes: Sequence[AttributeRow] = (),
    ) -> None:
        """Replace the read model's rows of these sagas."""
        with self._lock:
            for row in rows:
                self._status[row.saga_id] = replace(row, owner=self._status[row.saga_id].owner)
                self._steps[row.saga_id] = {}
            for step in steps:
                self._steps[step.saga_id][step.step, step.direction] = step
            self._messages.rewrite([row.saga_id for row in rows], commands)
            self._attributes.rewrite([row.saga_id for row in rows], attributes)

    def watch(self, hint: Callable[[], None]) -> Callable[[], None]:
        """Call `hint` after every write."""
        self._hints.append(hint)
        return lambda: self._hints.remove(hint) if hint in self._hints else None

    def accompany(self, companion: Companion) -> Callable[[], None]:
        """Raise an error: the memory store has no connection to give."""
        raise StoreError("the memory store speaks no SQL; use sqlite:///... or postgresql://...")

    def select(self, sql: str) -> AbstractContextManager[Selection]:
        """Raise an error: the memory store has no SQL."""
        raise StoreError("the memory store speaks no SQL; use sqlite:///... or postgresql://...")

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Raise an error: the memory store has no SQL."""
        with self.select(sql) as selection:
            return selection.held()


def _key(row: StatusRow) -> tuple[str, str, int]:
    return row.saga_name, row.saga_key, row.run
