"""Compares the tables of sagalog with the log, page by page, while a database is in use; nothing is repaired."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from sagalog.cli.address import SqlStore
from sagalog.cli.lookup import PAGE
from sagalog.cli.progress import progress
from sagalog.codec import CODEC
from sagalog.errors import SagalogError, StoreUnavailable
from sagalog.readmodel.indexing import indexed_pages
from sagalog.readmodel.verification import differences, index_differences
from sagalog.saga.definition import Definition
from sagalog.saga.failure import described
from sagalog.store import StoredEvent
from sagalog.store.published import is_message_stream

MOST_SHOWN = 10
TRIES = 5


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
        for saga_id in _saga_ids(store):
            sagas += 1
            found = _compare(store, saga_id, definitions)
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
    for page in indexed_pages(store, PAGE):
        found = [one for one in store.read_messages(page.after, PAGE) if one[0] <= page.upto]
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


def _saga_ids(store: SqlStore) -> Iterator[str]:
    position = 0
    while events := store.read_log(position, PAGE):
        yield from (event.saga_id for event in events if event.version == 1 and not is_message_stream(event.saga_id))
        position = events[-1].position


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
