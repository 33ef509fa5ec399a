"""What an event changed in a saga's state, one change a line; pure, and it knows no definition."""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, cast

import msgspec

from sagalog.cli.quantities import moment
from sagalog.saga.state import SagaState

TIMES: Final = frozenset(
    (
        "time",
        "began",
        "ended",
        "retry_at",
        "undo_began",
        "undo_ended",
        "undo_retry_at",
        "started",
        "updated",
        "deadline",
        "since",
        "until",
        "issued",
        "answered",
    )
)
# These change with every event, and stand in its headline.
EVIDENT: Final = frozenset(("version", "updated", "settled"))
# How far a step with many parts has come; its parts say it already.
EVIDENT_OF_PARTS: Final = re.compile(r"fans\..+\.(begun|open|done|undo)")
ABSENT: Final = "-"


class Change(NamedTuple):
    """One field of the state before and after; None where there was nothing."""

    path: str
    before: Any
    after: Any


def flat(state: SagaState | None) -> dict[str, Any]:
    """Return a state as one level of plain values: `steps.process_payment.action` -> `succeeded`."""
    return {} if state is None else dict(_flatten(msgspec.json.decode(msgspec.json.encode(state)), ""))


def _flatten(value: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        path = f"{prefix}{name}"
        # What a service gave us stays in one piece: it is one value to the saga.
        if isinstance(inner, dict) and name not in ("input", "result", "data"):
            yield from _flatten(cast("dict[str, Any]", inner), f"{path}.")
        elif inner is not None and inner != []:
            yield path, inner


def changes(before: SagaState | None, after: SagaState) -> list[Change]:
    """Return what differs between two states, in the order of the state's fields."""
    old, new = flat(before), flat(after)
    paths = [*new, *(path for path in old if path not in new)]
    return [
        Change(path, old.get(path), new.get(path))
        for path in paths
        if old.get(path) != new.get(path) and path not in EVIDENT and not EVIDENT_OF_PARTS.fullmatch(path)
    ]


def shown(path: str, value: Any) -> str:
    """Return a value of the state as a person reads it."""
    if value is None:
        return ABSENT
    if path.rpartition(".")[2] in TIMES and isinstance(value, int):
        return moment(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
