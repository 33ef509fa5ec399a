"""Compares the tables of sagalog with the log, page by page, while a database is in use; nothing is repaired."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sagalog.cli.address import SqlStore
from sagalog.cli.lookup import PAGE
from sagalog.cli.progress import progress
from sagalog.codec import CODEC
from sagalog.errors import SagalogError, StoreUnavailable
from sagalog.messages import Envelope
from sagalog.readmodel.indexing import indexed_pages
from sagalog.readmodel.verification import differences, index_differences
from sagalog.saga.definition import Definition
from sagalog.saga.failure import described
from sagalog.store import StatusRow, StoredEvent
from sagalog.store.published import is_message_stream

MOST_SHOWN = 10
TRIES = 5
# So many events of sagas are held at once, or those of one saga.
MOST_EVENTS = 5_000


class Compared(NamedTuple):
    """What was compared, whether something is wrong with it, and details."""

    what: str
    wrong: bool
    detail: str


def compare_sagas(store: SqlStore, definitions: dict[str, Definition]) -> Iterator[Compared]:
    """Compare every saga's rows with its events."""
    sagas = untold = wrong = 0
    # Counted first, because a saga that starts meanwhile only adds to the log.
    rows_there = sum(count for _, _, count in store.counts())
    with progress("Comparing", None) as advance:
        for saga_id, found in _compared_all(store, definitions):
            sagas += 1
            if found is None:
                untold += 1
            elif found:
                wrong += 1
                if wrong <= MOST_SHOWN:
                    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
                    yield Compared("tables equal log", True, f"saga {saga_id}: {found[0]}{more}")
            advance(sagas, f"{sagas:,} sagas")
    if wrong > MOST_SHOWN:
        yield Compared("tables equal log", True, f"and {wrong - MOST_SHOWN:,} more sagas")
    if rows_there > sagas:
        yield Compared("tables equal log", True, f"{rows_there:,} rows in saga_status, {sagas:,} sagas in the log")
    if not wrong:
        not_compared = f"; {untold:,} not compared, for their definition is not loaded" if untold else ""
        yield Compared("tables equal log", False, f"{sagas - untold:,} sagas compared{not_compared}")


def compare_messages(store: SqlStore) -> Iterator[Compared]:
    """Compare the index of messages with the log; yield nothing for a log without messages."""
    messages = wrong = 0
    index = _Index(store)
    for page in indexed_pages(store, PAGE):
        found = index.upto(page.upto)
        messages += max(len(page.messages), len(found))
        # A message that is not in the log cannot be compared.
        readable = [one for one in found if one[0] not in page.damaged]
        for text in [*dict.fromkeys(page.damaged.values()), *index_differences(page.messages, readable)]:
            wrong += 1
            if wrong <= MOST_SHOWN:
                yield Compared("messages equal log", True, text)
    if wrong > MOST_SHOWN:
        yield Compared("messages equal log", True, f"and {wrong - MOST_SHOWN:,} more differences")
    if messages and not wrong:
        yield Compared("messages equal log", False, f"{messages:,} messages compared")


class _Index:
    """The index of messages, read once from its beginning to its end."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._after = 0
        self._ahead: list[tuple[int, Envelope]] = []

    def upto(self, position: int) -> list[tuple[int, Envelope]]:
        """Return what comes next, up to a position."""
        found: list[tuple[int, Envelope]] = []
        while ahead := self._ahead or self._store.read_messages(self._after, PAGE):
            here = [one for one in ahead if one[0] <= position]
            found += here
            self._ahead = ahead[len(here) :]
            if self._ahead:
                break
            self._after = here[-1][0]
        return found


def _compared_all(store: SqlStore, definitions: dict[str, Definition]) -> Iterator[tuple[str, list[str] | None]]:
    """Yield every saga of the log with where its rows differ; None: it cannot be compared."""
    position = 0
    while events := store.read_log(position, PAGE):
        begun: dict[str, list[StoredEvent]] = {}
        for event in events:
            if event.version == 1 and not is_message_stream(event.saga_id):
                begun[event.saga_id] = [event]
            elif event.saga_id in begun:
                begun[event.saga_id].append(event)
        known = _at_once(store, begun, definitions)
        for saga_id in begun:
            yield saga_id, known[saga_id] if saga_id in known else _compare(store, saga_id, definitions)
        position = events[-1].position


def _at_once(
    store: SqlStore, begun: Mapping[str, list[StoredEvent]], definitions: dict[str, Definition]
) -> dict[str, list[str] | None]:
    """Compare some sagas with few reads; one that changes meanwhile, or cannot be read, is left out.

    `begun` are the first events of each: most often they are all there are, and are read and decoded once.
    """
    found: dict[str, list[str] | None] = {}
    try:
        rows = store.statuses(list(begun))
        for saga_ids in _pieces(rows):
            steps, commands = store.steps_many(saga_ids), store.commands_many(saga_ids)
            attributes = store.attributes(saga_ids)
            more = store.read_many([one for one in saga_ids if not _is_all(begun[one], rows[one])])
            again = store.statuses(saga_ids)
            for saga_id in saga_ids:
                row, events = rows[saga_id], more.get(saga_id) or begun[saga_id]
                if saga_id in again and row.version == again[saga_id].version == len(events):
                    held = (steps[saga_id], commands[saga_id], events, attributes.get(saga_id, []))
                    found[saga_id] = _differences(row.definition, definitions, row, *held)
    except StoreUnavailable:
        raise
    except Exception:
        # One row that cannot be read: sagas are compared one by one, and it is told which one it is.
        return found
    return found


def _is_all(events: list[StoredEvent], row: StatusRow) -> bool:
    return [event.version for event in events] == list(range(1, row.version + 1))


def _pieces(rows: Mapping[str, StatusRow]) -> Iterator[list[str]]:
    """Yield ids of sagas that have so many events together that these may be held at once."""
    piece: list[str] = []
    events = 0
    for saga_id, row in rows.items():
        if piece and events + row.version > MOST_EVENTS:
            yield piece
            piece, events = [], 0
        piece.append(saga_id)
        events += row.version
    if piece:
        yield piece


def _compare(store: SqlStore, saga_id: str, definitions: dict[str, Definition]) -> list[str] | None:
    """Compare one saga; if it changes meanwhile, compare it again."""
    try:
        return _compared(store, saga_id, definitions)
    except StoreUnavailable:
        raise
    except Exception as problem:
        # Rows that cannot be read are reported, and the other sagas are still compared.
        return [described(problem)]


def _compared(store: SqlStore, saga_id: str, definitions: dict[str, Definition]) -> list[str] | None:
    found: list[str] | None = None
    for _ in range(TRIES):
        row, steps, events = store.status(saga_id), store.steps(saga_id), store.read(saga_id)
        commands, attributes = store.commands_of(saga_id), store.attributes([saga_id]).get(saga_id, [])
        if row is None:
            return ["saga_status: expected a row, found none"]
        again = store.status(saga_id)
        if again is None or again.version != row.version:
            continue
        if row.version == len(events):
            return _differences(row.definition, definitions, row, steps, commands, events, attributes)
        found = [f"saga_status.version: expected {len(events)}, found {row.version}"]
    return found


def _differences(
    digest: str,
    definitions: dict[str, Definition],
    row: Any,
    steps: Any,
    commands: Any,
    events: list[StoredEvent],
    attributes: Any,
) -> list[str] | None:
    try:
        decoded = CODEC.decode_all((event.topic, event.state) for event in events)
        return differences(definitions.get(digest), row, steps, commands, decoded, attributes)
    except SagalogError as problem:
        return [str(problem)]
