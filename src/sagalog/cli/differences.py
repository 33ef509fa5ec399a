"""What an event changed in a saga's state, one line for each change; pure, and without the definition."""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, cast

import msgspec

from sagalog.cli.quantities import moment
from sagalog.codec import encode_json
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
# These change with every event, and are in its headline.
EVIDENT: Final = frozenset(("version", "updated", "settled"))
# Counters of a step with many parts; its parts show the same.
EVIDENT_OF_PARTS: Final = re.compile(r"fans\..+\.(begun|open|done|undo)")
ABSENT: Final = "-"
# What is below is called as users like it, and is never one of the times and counters above.
ATTRIBUTES: Final = "attributes."
# The fields of a step in the order in which they are shown, with the side of the state that holds each, if any.
_FIELDS_OF_STEP: Final = {
    "action": ("action", "status"),
    **{name: ("action", name) for name in ("attempts", "began", "ended")},
    "result": ("", "result"),
    **{name: ("action", name) for name in ("error", "retry_at", "forgiven", "since")},
    "late": ("", "late"),
    "undo": ("undo", "status"),
    **{f"undo_{name}": ("undo", name) for name in ("attempts", "began", "ended", "error", "retry_at")},
    **{f"undo_{name}": ("undo", name) for name in ("forgiven", "since")},
    "epoch": ("", "epoch"),
    **{name: ("action", name) for name in ("waiting", "command", "round")},
    **{f"undo_{name}": ("undo", name) for name in ("waiting", "command", "round")},
    "child": ("", "child"),
    "child_is_stuck": ("", "child_is_stuck"),
}
_USUAL: Final = {"action": "open", "undo": "none"}


class Change(NamedTuple):
    """One field of the state before and after; None where it had no value."""

    path: str
    before: Any
    after: Any


def flat(state: SagaState | None) -> dict[str, Any]:
    """Return a state as one flat dict: `steps.process_payment.action` -> `succeeded`."""
    return {} if state is None else dict(_flatten(as_values(state), ""))


def as_values(state: SagaState) -> dict[str, Any]:
    """Return a state as JSON values, with both directions of a step merged: `attempts` and `undo_attempts`."""
    found: dict[str, Any] = msgspec.json.decode(encode_json(state))
    found["steps"] = {name: dict(_fields_of(step)) for name, step in found["steps"].items()}
    return found


def _fields_of(step: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, (side, field) in _FIELDS_OF_STEP.items():
        where: dict[str, Any] = step[side] if side else step
        # A field with its default value is left out.
        if field in where and where[field] != _USUAL.get(name, _USUAL):
            yield name, where[field]


def _flatten(value: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        path = f"{prefix}{name}"
        # Inputs and results are not split: each is one value to the saga.
        if isinstance(inner, dict) and name not in ("input", "result", "data"):
            yield from _flatten(cast("dict[str, Any]", inner), f"{path}.")
        elif inner is not None and inner != []:
            yield path, inner


def changes(before: SagaState | None, after: SagaState) -> list[Change]:
    """Return the differences between two states, in the order of the state's fields."""
    old, new = flat(before), flat(after)
    paths = [*new, *(path for path in old if path not in new)]
    return [
        Change(path, old.get(path), new.get(path))
        for path in paths
        if old.get(path) != new.get(path) and path not in EVIDENT and not EVIDENT_OF_PARTS.fullmatch(path)
    ]


def shown(path: str, value: Any) -> str:
    """Return a value of the state in the form for people."""
    if value is None:
        return ABSENT
    if path.rpartition(".")[2] in TIMES and isinstance(value, int) and not path.startswith(ATTRIBUTES):
        return moment(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
