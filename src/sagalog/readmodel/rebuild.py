"""The read model from nothing: rows of sagas, their steps and commands, and which messages there are, from the log.

For a database on which nothing runs; what runs keeps its rows true by itself. No effect is made, nothing is decided.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from msgspec import Struct
from msgspec.structs import replace

from sagalog.codec import CODEC
from sagalog.readmodel.indexing import indexed_pages
from sagalog.readmodel.rows import command_rows, status_row, step_rows
from sagalog.saga.definition import Definition
from sagalog.saga.events import SagaEvent
from sagalog.saga.evolve import evolve
from sagalog.saga.state import SagaState
from sagalog.store import CommandRow, Query, StatusRow, StepRow, Store, StoredEvent

# A saga has about so many events, so a page of the log is about as long as a batch of sagas.
EVENTS_OF_A_SAGA = 5


class Rebuilt(Struct, frozen=True):
    """How many sagas have their rows from the log again, and how many were left: their definition is not loaded.

    `messages` is how many messages the log holds.
    """

    sagas: int
    left: int
    messages: int


def rebuild(store: Store, definitions: Mapping[str, Definition], batch: int = 200) -> Rebuilt:
    """Compute the rows of every saga from the log and write them, `batch` sagas in a transaction.

    `definitions` are by digest. It may be interrupted and begun again at any time.
    Raises `DivergentHistory` for a history that makes no saga; the batches before it are written.
    """
    sagas = left = 0
    for rows in _pages(store, batch):
        known = [row for row in rows if row.definition in definitions]
        left += len(rows) - len(known)
        streams = store.read_many([row.saga_id for row in known])
        computed = [rows_of(definitions[row.definition], row.saga_id, streams[row.saga_id]) for row in known]
        store.rewrite(
            [status for status, _, _ in computed],
            [step for _, steps, _ in computed for step in steps],
            [command for _, _, commands in computed for command in commands],
        )
        sagas += len(known)
    messages = 0
    for page in indexed_pages(store, batch * EVENTS_OF_A_SAGA):
        store.reindex(page.after, page.upto, page.messages)
        messages += len(page.messages)
    return Rebuilt(sagas, left, messages)


def _pages(store: Store, size: int) -> Iterator[list[StatusRow]]:
    before: str | None = None
    while rows := store.find(Query(before=before, limit=size)):
        yield rows
        before = rows[-1].saga_id


def rows_of(
    definition: Definition, saga_id: str, stored: Sequence[StoredEvent]
) -> tuple[StatusRow, list[StepRow], list[CommandRow]]:
    """Return the rows of one saga as they were written with its events, decision by decision."""
    state: SagaState | None = None
    steps: dict[tuple[str, str], StepRow] = {}
    commands: dict[str, CommandRow] = {}
    decoded = [(event.position, CODEC.decode(event.topic, event.state)) for event in stored]
    # The events of one decision have one time, and were written with one position.
    for _, decision in groupby(decoded, key=_time):
        before = state
        last = 0
        for position, event in decision:
            state, last = evolve(state, event), position
        assert state is not None
        for row in step_rows(definition, saga_id, before, state):
            steps[row.step, row.direction] = replace(row, position=last)
        for command in command_rows(definition, saga_id, before, state):
            commands[command.command_id] = replace(command, position=last)
    assert state is not None
    status = replace(status_row(definition, saga_id, state), position=stored[-1].position)
    return status, list(steps.values()), list(commands.values())


def _time(recorded: tuple[int, SagaEvent]) -> int:
    return recorded[1].time
