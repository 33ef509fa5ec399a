"""Compares the rows of a saga with its log; nothing is repaired. Pure."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from operator import attrgetter
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from sagalog.messages import Envelope, Unreadable
from sagalog.readmodel.rows import attribute_rows, command_rows, status_row, step_rows
from sagalog.saga.definition import Definition
from sagalog.saga.events import SagaEvent
from sagalog.saga.evolve import fold
from sagalog.saga.transitions import OPEN
from sagalog.store import AttributeRow, CommandRow, StatusRow, StepRow

_NO_ROW = "expected no row, found one"
# Columns that the store fills: the position of the write, the owner, and deliveries of commands.
STORED = frozenset(("position", "owner", "deliveries"))


def differences(
    definition: Definition | None,
    row: StatusRow,
    steps: Sequence[StepRow],
    commands: Sequence[CommandRow],
    events: Sequence[SagaEvent],
    attributes: Sequence[AttributeRow] = (),
) -> list[str] | None:
    """Return each place where a saga's rows differ from those computed from its events; None if it cannot be known.

    What an open saga waits for depends on its definition, so without one only sagas at rest can be compared. Raises
    `DivergentHistory` for events that make no saga.
    """
    state = fold(events)
    if definition is None and state.status in OPEN:
        return None
    # The rows of a saga at rest do not depend on the definition.
    expected_row = status_row(definition, row.saga_id, state)
    expected_steps = step_rows(definition, row.saga_id, None, state)
    expected_commands = command_rows(definition, row.saga_id, None, state)
    return [
        *_compare("saga_status", expected_row, row),
        *_compare_rows(_step, expected_steps, steps),
        *_compare_rows(_command, expected_commands, commands),
        *_compare_rows(_attribute, attribute_rows(row.saga_id, None, state)[0], attributes),
    ]


def index_differences(expected: Sequence[tuple[int, Envelope]], found: Sequence[tuple[int, Envelope]]) -> list[str]:
    """Return each place where `saga_messages` differs from the messages in a part of the log."""
    there = dict(found)
    differing: list[str] = []
    for position, envelope in expected:
        row = there.pop(position, None)
        what = f"saga_messages of position {position}"
        if row is None:
            differing.append(f"{what}: expected {envelope.name} {envelope.id}, found none")
        elif isinstance(row, Unreadable):
            differing.append(f"{what}: {row.problem}")
        else:
            differing += _compare(what, envelope, row)
    return differing + [
        f"saga_messages of position {position}: {row.problem if isinstance(row, Unreadable) else _NO_ROW}"
        for position, row in there.items()
    ]


@cache
def _compared_columns(fields: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    return attrgetter(*(field for field in fields if field not in STORED))


def _compare(what: str, expected: Any, found: Any) -> Iterator[str]:
    values = _compared_columns(expected.__struct_fields__)
    if type(found) is type(expected) and values(found) == values(expected):
        # Nearly always, and then no column need be named.
        return
    there = asdict(found)
    for column, value in asdict(expected).items():
        if column not in STORED and there[column] != value:
            yield f"{what}.{column}: expected {value!r}, found {there[column]!r}"


def _compare_rows(what: Callable[[Any], str], expected: Sequence[Struct], found: Sequence[Struct]) -> Iterator[str]:
    """Yield each place where rows differ from those that are expected; `what` names a row in the text, and knows it."""
    there = {what(row): row for row in found}
    for one in expected:
        name = what(one)
        row = there.pop(name, None)
        if row is None:
            yield f"{name}: expected a row, found none"
        else:
            yield from _compare(name, one, row)
    for name in there:
        yield f"{name}: {_NO_ROW}"


def _step(row: StepRow) -> str:
    return f"saga_steps of {row.step} ({row.direction})"


def _command(row: CommandRow) -> str:
    return f"saga_commands of {row.command_id}"


def _attribute(row: AttributeRow) -> str:
    return f"saga_attributes of {row.name}"
