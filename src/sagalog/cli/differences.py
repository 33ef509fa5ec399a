"""What an event changed in a saga's state, one line for each change; pure, and without the definition."""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, cast

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from sagalog.cli.quantities import moment
from sagalog.codec import encode_json
from sagalog.saga.state import FanOut, SagaState

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
# The fields of a state that grow with a saga's history, and what stands for one that did not change.
_MAY_BE_LARGE: Final[dict[str, Any]] = {
    "input": Raw(b"null"),
    **dict.fromkeys(("steps", "commands", "fans", "attributes"), cast("dict[str, Any]", {})),
    **dict.fromkeys(("plan", "pending", "actions", "received", "kept", "acts"), ()),
}


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
    if before is not None:
        before, after = _apart(before, after)
    old, new = flat(before), flat(after)
    paths = [*new, *(path for path in old if path not in new)]
    return [
        Change(path, old.get(path), new.get(path))
        for path in paths
        if old.get(path) != new.get(path) and path not in EVIDENT and not EVIDENT_OF_PARTS.fullmatch(path)
    ]


def _apart(before: SagaState, after: SagaState) -> tuple[SagaState, SagaState]:
    """Return two states without what may be large and is the very same in both.

    An event changes a few values and leaves all others as they are, so that one event of a saga with thousands of steps
    costs no more to be compared than one of a saga with three.
    """
    old: dict[str, Any] = {}
    new: dict[str, Any] = {}
    for name, nothing in _MAY_BE_LARGE.items():
        one, other = getattr(before, name), getattr(after, name)
        if one is other:
            old[name] = new[name] = nothing
        elif isinstance(nothing, dict):
            old[name], new[name] = _entries_apart(one, other)
    return replace(before, **old), replace(after, **new)


def _entries_apart(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the entries of two dicts that are not the very same in both, each in its order."""
    new = {name: entry for name, entry in after.items() if before.get(name) is not entry}
    has_gone = len(before) + sum(name not in before for name in new) > len(after)
    names = [name for name in new if name in before]
    if has_gone:
        # Hardly ever an entry goes, and only then all those of before are looked at.
        names = [name for name in before if name in new or name not in after]
    old = {name: before[name] for name in names}
    for name, entry in new.items():
        known = old.get(name)
        # The elements of a step are given once, and their number has no limit.
        if isinstance(entry, FanOut) and isinstance(known, FanOut) and entry.elements is known.elements:
            new[name], old[name] = replace(entry, elements=()), replace(known, elements=())
    return old, new


def shown(path: str, value: Any) -> str:
    """Return a value of the state in the form for people."""
    if value is None:
        return ABSENT
    if path.rpartition(".")[2] in TIMES and isinstance(value, int) and not path.startswith(ATTRIBUTES):
        return moment(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
