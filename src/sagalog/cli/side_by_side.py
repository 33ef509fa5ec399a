"""Two sagas side by side, their actions and compensations line by line; it only reads."""

from itertools import zip_longest
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from sagalog.cli.one_saga import in_order
from sagalog.cli.table import Column, plain, status_text, table_of
from sagalog.store import StatusRow, StepRow, Store


class Line(NamedTuple):
    """A step of one saga and a step of the other; None where one saga has no more steps."""

    left: StepRow | None
    right: StepRow | None


def side_by_side(store: Store, left: StatusRow, right: StatusRow) -> Table:
    """Return a table of the steps of two sagas, each in the order in which it did and undid them."""
    steps = zip_longest(in_order(store.steps(left.saga_id)), in_order(store.steps(right.saga_id)))
    columns: tuple[Column[Line], ...] = (
        Column(f"{left.saga_name} {left.saga_key}", lambda line: _name(line.left)),
        Column(left.status, lambda line: _status(line.left)),
        Column(f"{right.saga_name} {right.saga_key}", lambda line: _name(line.right)),
        Column(right.status, lambda line: _status(line.right)),
    )
    return table_of([Line(*both) for both in steps], columns)


def _name(step: StepRow | None) -> Text:
    if step is None:
        return Text()
    return Text(plain(step.step)) if step.undoes is None else Text.assemble(("undo ", "dim"), plain(step.undoes))


def _status(step: StepRow | None) -> Text:
    return Text() if step is None else status_text(step.status)
