"""Histories by name, from the database or from an exported file, for whatever only looks at one; it only reads."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import IO, Any, NamedTuple, Protocol

import click

from sagalog.cli import lookup
from sagalog.cli.address import store_of
from sagalog.cli.exporting import Exported, read_export
from sagalog.cli.failures import NotThere
from sagalog.cli.lines import name_of
from sagalog.cli.options import Invocation
from sagalog.cli.output import note
from sagalog.harmless import harmless
from sagalog.saga.events import SagaEvent, SagaStarted
from sagalog.store import Store

LONGEST_SHOWN = 200

from_option = click.option(
    "--from", "source", type=click.File("rb"), metavar="FILE", help="Read what `sagalog export` wrote; - is stdin."
)


class History(NamedTuple):
    """All events of one saga."""

    saga_id: str
    events: list[SagaEvent]


class Histories(Protocol):
    """Where histories come from."""

    def find(self, name: str | None, saga: str | None = None) -> History:
        """Return the history of the saga with this id, or else of the newest one with this key."""
        ...

    def of(self, saga_id: str) -> list[SagaEvent]:
        """Return the events of a saga by its id; none if it is not there."""
        ...


class StoredHistories:
    """The histories of a database."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, name: str | None, saga: str | None = None) -> History:
        """Return the named history; raises `SagaNotFound`."""
        if name is None:
            raise click.UsageError("name a saga by its id or key, or give --from FILE", click.get_current_context())
        saga_id = lookup.find(self._store, name, saga).saga_id
        return History(saga_id, lookup.history(self._store, saga_id))

    def of(self, saga_id: str) -> list[SagaEvent]:
        """Return the events of a saga by its id; none if it is not there."""
        return lookup.history(self._store, saga_id)


class ExportedHistories:
    """The histories of an exported file, all of them sound."""

    def __init__(self, name: str, streams: Exported) -> None:
        self._name = name
        self._streams = streams

    def find(self, name: str | None, saga: str | None = None) -> History:
        """Return the named history, or the only one; raises `NotThere`."""
        starts = {saga_id: _start(events) for saga_id, events in self._streams.items()}
        keys = [start.key for start in starts.values()]
        named = {
            saga_id: start
            for saga_id, start in starts.items()
            if name is None or name == saga_id or (name == start.key and saga in (None, start.saga))
        }
        if not named:
            if not starts:
                raise NotThere(f"{self._name} is empty: expected what `sagalog export` writes; export it again")
            wanted = harmless(repr(name), LONGEST_SHOWN)
            raise NotThere(f"{self._name} has no saga {wanted}; it has {some(keys)}")
        if name is None and len(named) > 1:
            raise click.UsageError(f"{self._name} has {len(named)} sagas: name one of {some(keys)}")
        found = (
            name
            if name in named
            else max(named, key=lambda saga_id: (named[saga_id].time, named[saga_id].run, saga_id))
        )
        assert found is not None
        others = sorted({start.saga for start in named.values()} - {named[found].saga})
        if others:
            note(f"{name} is also a key of {', '.join(others)}; this is the newest, --saga NAME shows another")
        return History(found, self._streams[found])

    def of(self, saga_id: str) -> list[SagaEvent]:
        """Return the events of a saga by its id; none if it is not in the file."""
        return self._streams.get(saga_id, [])


def read(source: IO[bytes]) -> ExportedHistories:
    """Read a whole exported file; raises `BrokenExport` at the first line that is wrong."""
    name = name_of(source)
    return ExportedHistories(name, read_export(source, name))


@contextmanager
def histories(invocation: Invocation, source: Any) -> Generator[Histories]:
    """Open the exported file, if one is given, or else the database."""
    if source is not None:
        yield read(source)
        return
    with store_of(invocation) as store:
        yield StoredHistories(store)


def _start(events: Sequence[SagaEvent]) -> SagaStarted:
    start = events[0]
    # Reading a file refuses any other beginning.
    assert isinstance(start, SagaStarted)
    return start


def some(names: Sequence[str]) -> str:
    """Return the first names of a list, and how many more there are."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (", ".join(names[:5]) or "none") + more
