"""The outcome of a saga: `SagaResult`, read from its state."""

from typing import Any, Literal, cast

import msgspec
from msgspec import Raw, Struct

from sagalog.saga.choreography.definition import ChoreographyDefinition
from sagalog.saga.definition import Definition
from sagalog.saga.events import ErrorInfo
from sagalog.saga.parts import raw_results
from sagalog.saga.state import SagaState


class SagaResult(Struct, frozen=True):
    """The outcome of a saga that ended or is stuck.

    `data` maps the name of each step that succeeded to its result, in the declared type. `error` is why the saga
    failed (the original cause), was abandoned, or is stuck; None when it completed.
    """

    status: Literal["completed", "failed", "abandoned", "stuck"]
    data: dict[str, Any]
    error: ErrorInfo | None = None


def result_of(definition: Definition | None, state: SagaState) -> SagaResult:
    """Return the result; without the definition, `data` holds plain JSON values."""
    data = {name: _read(definition, name, result) for name, result in raw_results(state).items()}
    return SagaResult(cast(Any, state.status), data, state.error)


def _read(definition: Definition | None, name: str, result: Raw) -> Any:
    if type(definition) is ChoreographyDefinition:
        return definition.contract.read(name, result)
    known = None if definition is None else definition.find(name)
    if known is None:
        return msgspec.json.decode(result)
    if known.fan is not None and name == known.name:
        return known.fan.results.read(result)
    return known.result.read(result)
