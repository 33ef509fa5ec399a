"""What a saga came to: `SagaResult`, read from its state."""

from typing import Any, Literal, cast

import msgspec
from msgspec import Raw, Struct

from sagalog.saga.definition import Definition
from sagalog.saga.events import EMPTY, ErrorInfo
from sagalog.saga.parts import part_name, part_of
from sagalog.saga.state import SagaState


class SagaResult(Struct, frozen=True):
    """The end of a saga, or where it is stuck.

    `data` maps the name of each step that succeeded to its result, in the declared type. `error` is why the saga
    failed (the original cause) or why it is stuck; None when it completed.
    """

    status: Literal["completed", "failed", "stuck"]
    data: dict[str, Any]
    error: ErrorInfo | None = None


def result_of(definition: Definition | None, state: SagaState) -> SagaResult:
    """Return the result; without the definition the data are plain JSON values."""
    data: dict[str, Any] = {}
    for name, step in state.steps.items():
        if step.result is None:
            continue
        part = part_of(name) if state.fans else None
        fan = None if part is None else state.fans.get(part[0])
        if part is None or fan is None or fan.done < len(fan.elements):
            data[name] = _read(definition, name, step.result)
        elif part[0] not in data:
            # All of its parts are done: they are one list.
            names = (part_name(part[0], n) for n in range(len(fan.elements)))
            data[part[0]] = [_read(definition, one, state.steps[one].result or EMPTY) for one in names]
    return SagaResult(cast(Any, state.status), data, state.error)


def _read(definition: Definition | None, name: str, result: Raw) -> Any:
    if definition is not None and definition.contract is not None:
        return definition.contract.read(name, result)
    known = None if definition is None else definition.find(name)
    if known is None or (known.fan is not None and name == known.name):
        # Nobody knows its type; or it had no elements, and the list is empty.
        return msgspec.json.decode(result)
    return known.result.read(result)
