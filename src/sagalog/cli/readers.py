"""What has read a recorded value of a saga: the result of a step, or the input; as the definition binds it. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

from sagalog.saga.binding import Parameter
from sagalog.saga.definition import Definition, StepDefinition
from sagalog.saga.state import ActionStatus, SagaState, Side, UndoStatus


class Reader(NamedTuple):
    """A step, or the undoing of one, that was begun with a value, and how it stands."""

    what: str
    status: str


def readers_of(definition: Definition, state: SagaState, step: str | None) -> Iterator[Reader]:
    """Yield what was begun with the result of a step, or with the input if `step` is None, in the order of the log."""
    source = None if step is None else definition.step(step).name
    for name, here in state.steps.items():
        declared = definition.find(name)
        if declared is None:
            continue
        if _was_begun(here.action) and _acts_on(declared, source):
            yield Reader(name, here.action.status)
        elif source is None and here.action.status == "skipped":
            yield Reader(f"the condition of {name}", here.action.status)
        undo = declared.compensation
        if undo is not None and _was_begun(here.undo) and (name == step or _binds(undo.parameters, source)):
            yield Reader(f"the undoing of {name}", here.undo.status)


def _was_begun(side: Side[ActionStatus] | Side[UndoStatus]) -> bool:
    return side.attempts > 0 or side.waiting is not None or side.command is not None


def _acts_on(declared: StepDefinition, source: str | None) -> bool:
    asks = declared.when is not None or declared.fan is not None
    if source is None and (asks or (declared.child is not None and declared.child.takes_input)):
        return True
    return _binds(declared.parameters, source)


def _binds(parameters: tuple[Parameter, ...], source: str | None) -> bool:
    if source is None:
        return any(one.source == "input" for one in parameters)
    return any(one.source == "result" and one.key == source for one in parameters)
