"""What a saga came to: `SagaResult`, read from its state."""

from typing import Any, Literal, cast

import msgspec
from msgspec import Struct

from sagalog.saga.definition import Definition
from sagalog.saga.events import ErrorInfo
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
        if step.result is not None:
            known = definition.steps.get(name) if definition is not None else None
            data[name] = msgspec.json.decode(step.result) if known is None else known.result.read(step.result)
    return SagaResult(cast(Any, state.status), data, state.error)
