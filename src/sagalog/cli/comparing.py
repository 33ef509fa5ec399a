"""Two sagas, or two moments of one, compared: the fields that differ, and where their histories part; pure.

Times and identities (ids, keys, versions) differ between any two sagas, so they are left aside unless they are asked
for.
"""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any, Final, NamedTuple, cast

from sagalog.cli.differences import ATTRIBUTES, EVIDENT, EVIDENT_OF_PARTS, TIMES, flat
from sagalog.codec import encode_json
from sagalog.saga import events as e
from sagalog.saga.state import SagaState

# These name a saga, a message or an effect, and say nothing of what was done.
_IDENTITIES: Final = frozenset(
    ("key", "run", "correlation_id", "causation_id", "command", "child", "saga_id", "cause", "last_message")
)
# Ids of messages, of which the number says something.
_COUNTED: Final = frozenset(("received",))
_COMMAND: Final = "commands."


class Difference(NamedTuple):
    """One field of two states; None where it has no value."""

    path: str
    a: Any
    b: Any


class Parting(NamedTuple):
    """The first events of two histories that are not the same; None where a history has ended before."""

    version: int
    a: e.SagaEvent | None
    b: e.SagaEvent | None


def differences(a: SagaState, b: SagaState, *, exact: bool = False) -> list[Difference]:
    """Return the fields that differ, in the order of the state's fields; `exact`: times and identities too."""
    one, other = _fields(a, exact), _fields(b, exact)
    paths = [*one, *(path for path in other if path not in one)]
    return [found for path in paths for found in _inside(path, one.get(path), other.get(path))]


def _inside(path: str, one: Any, other: Any) -> Iterator[Difference]:
    """Yield where two values differ, as deep inside as both have the same shape."""
    difference = Difference(path, one, other)
    if _same(one, other):
        return
    if isinstance(one, dict) and isinstance(other, dict):
        ours, theirs = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        for name in (*ours, *(name for name in theirs if name not in ours)):
            yield from _inside(f"{path}.{name}", ours.get(name), theirs.get(name))
        return
    if isinstance(one, list) and isinstance(other, list):
        left, right = cast("list[object]", one), cast("list[object]", other)
        if len(left) == len(right):
            for number, pair in enumerate(zip(left, right, strict=True)):
                yield from _inside(f"{path}[{number}]", *pair)
            return
    yield difference


def _same(one: object, other: object) -> bool:
    """Tell whether two values are the same in JSON: `true`, `1` and `1.0` are not, which are equal in Python."""
    return encode_json(one) == encode_json(other)


def _fields(state: SagaState, exact: bool) -> dict[str, Any]:
    fields = flat(state)
    if exact:
        return fields
    names = {_COMMAND + command_id: name for command_id, name in _commands(state)}
    # Each value of a command is directly below its id.
    found: dict[str, Any] = {}
    for path, value in fields.items():
        prefix = path.rpartition(".")[0]
        named = _COMMAND + names[prefix] + path.removeprefix(prefix) if prefix in names else path
        # Of a step both directions have the same fields.
        field = named.rpartition(".")[2].removeprefix("undo_")
        if named.startswith(ATTRIBUTES):
            found[named] = value
        elif field in _COUNTED:
            found[f"{named} (how many)"] = len(value)
        elif field == "kept":
            found[named] = [{name: inner for name, inner in one.items() if name != "message"} for one in value]
        elif field not in TIMES | _IDENTITIES | EVIDENT and not EVIDENT_OF_PARTS.fullmatch(path):
            found[named] = value
    return found


def _commands(state: SagaState) -> Iterator[tuple[str, str]]:
    """Yield each command's id, with a name that it also has in another saga: its step, direction and round."""
    for command_id, command in state.commands.items():
        undo = "undo of " if command.direction == "compensation" else ""
        number = f" {command.round + 1}" if command.round else ""
        yield command_id, f"{undo}{command.step}{number}"


def parting(a: Sequence[e.SagaEvent], b: Sequence[e.SagaEvent]) -> Parting | None:
    """Return where two histories part: the first events that differ in more than times, ids and texts."""
    for version, (one, other) in enumerate(zip_longest(a, b), 1):
        if one is None or other is None or _gist(one) != _gist(other):
            return Parting(version, one, other)
    return None


# Facts about what was done, which two runs of one saga have in common if they went the same way.
_GIST: Final = (
    *("step", "attempt", "outcome", "direction", "name", "saga", "kind", "late", "kept", "answer", "plan", "waived"),
    *("pending", "actions", "at_once", "parent_step", "called_off"),
)


def _gist(event: e.SagaEvent) -> tuple[Any, ...]:
    error: e.ErrorInfo | None = getattr(event, "error", None) or getattr(event, "cause", None)
    return (
        type(event),
        *(getattr(event, name, None) for name in _GIST),
        None if error is None else (error.type, error.kind, error.step),
        # Whether there will be another attempt, not when.
        getattr(event, "retry_at", None) is None,
        len(getattr(event, "elements", ())),
    )
