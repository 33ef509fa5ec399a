"""Rebuilds the read model from the log: rows of sagas, their steps, commands and attributes, and the index of messages.

It is for a database on which nothing runs; a running system keeps its rows correct by itself. No effect is made,
nothing is decided. What cannot be computed, for instance after a change by hand, is reported, and its rows are kept.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

from msgspec import Struct
from msgspec.structs import replace

from sagalog.codec import CODEC
from sagalog.errors import DivergentHistory
from sagalog.readmodel.indexing import indexed_pages
from sagalog.readmodel.rows import attribute_rows, command_rows, status_row, step_rows
from sagalog.saga.definition import Definition
from sagalog.saga.events import SagaEvent
from sagalog.saga.evolve import evolve
from sagalog.saga.failure import described
from sagalog.saga.state import SagaState
from sagalog.store import AttributeRow, CommandRow, Query, StatusRow, StepRow, Store, StoredEvent

# A saga has about this many events, so a page of the log holds about as many sagas as a batch.
EVENTS_OF_A_SAGA = 5

Rows = tuple[StatusRow, list[StepRow], list[CommandRow], list[AttributeRow]]


class Rebuilt(Struct, frozen=True):
    """The result of a rebuild: how many sagas were rebuilt, and how many were left because their definition is unknown.

    Those of `left` are rebuilt too if that was asked for. `messages` is the number of messages in the log. `damaged`
    gives the reasons for sagas and messages that could not be computed; their rows are unchanged.
    """

    sagas: int
    left: int
    messages: int
    damaged: tuple[str, ...] = ()


def _nobody(_: int) -> None:
    """Tell nobody."""


def rebuild(
    store: Store,
    definitions: Mapping[str, Definition],
    batch: int = 200,
    *,
    unknown: bool = False,
    moved: Callable[[int], None] = _nobody,
) -> Rebuilt:
    """Compute the rows of every saga from the log and write them, `batch` sagas in a transaction.

    `definitions` are by digest. With `unknown` sagas of other definitions are computed too, but for what they wait for.
    `moved` is told how many sagas are done. A rebuild may be interrupted and started again at any time. Invalid
    histories and messages are reported in the result.
    """
    sagas = left = 0
    damaged: list[str] = []
    for rows in _pages(store, batch):
        known = [row for row in rows if unknown or row.definition in definitions]
        left += sum(row.definition not in definitions for row in rows)
        streams = store.read_many([row.saga_id for row in known])
        computed: list[Rows] = []
        for row in known:
            try:
                computed.append(rows_of(definitions.get(row.definition), row.saga_id, streams[row.saga_id]))
            except Exception as problem:
                damaged.append(f"saga {row.saga_id}: {described(problem)}")
        store.rewrite(
            [status for status, _, _, _ in computed],
            [step for _, steps, _, _ in computed for step in steps],
            [command for _, _, commands, _ in computed for command in commands],
            [attribute for _, _, _, attributes in computed for attribute in attributes],
        )
        sagas += len(computed)
        moved(sagas)
    messages = 0
    size = batch * EVENTS_OF_A_SAGA
    for page in indexed_pages(store, size):
        kept = store.read_messages(page.after, size) if page.damaged else []
        store.reindex(page.after, page.upto, [*page.messages, *(one for one in kept if one[0] in page.damaged)])
        messages += len(page.messages)
        damaged += dict.fromkeys(page.damaged.values())
    return Rebuilt(sagas, left, messages, tuple(damaged))


def _pages(store: Store, size: int) -> Iterator[list[StatusRow]]:
    before: str | None = None
    while rows := store.find(Query(before=before, limit=size)):
        yield rows
        before = rows[-1].saga_id


def rows_of(definition: Definition | None, saga_id: str, stored: Sequence[StoredEvent]) -> Rows:
    """Return the rows of one saga as they were written with its events, decision by decision.

    Without its definition nobody knows what an open saga waits for, and its row says nothing about that.
    """
    state: SagaState | None = None
    steps: dict[tuple[str, str], StepRow] = {}
    commands: dict[str, CommandRow] = {}
    attributes: dict[str, AttributeRow] = {}
    decoded = [(event.position, CODEC.decode(event.topic, event.state)) for event in stored]
    # All events of a decision have the same time and were written with one position.
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
        changed, removed = attribute_rows(saga_id, before, state)
        for attribute in changed:
            attributes[attribute.name] = replace(attribute, position=last)
        for name in removed:
            del attributes[name]
    if state is None:
        raise DivergentHistory("expected events in the log, found none")
    status = replace(status_row(definition, saga_id, state), position=stored[-1].position)
    return status, list(steps.values()), list(commands.values()), list(attributes.values())


def _time(recorded: tuple[int, SagaEvent]) -> int:
    return recorded[1].time
