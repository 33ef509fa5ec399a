"""The changes of a saga's state that all events share. It decides nothing. Pure."""

from typing import Any

from msgspec.structs import replace

from sagalog.errors import DivergentHistory
from sagalog.saga.events import EventReceived, SagaEvent, StepSucceeded
from sagalog.saga.growing import added, changed, plain
from sagalog.saga.state import SagaState, StepState
from sagalog.saga.transitions import Status


def moved(state: SagaState, event: SagaEvent, status: Status, **changes: Any) -> SagaState:
    """Return the state after an event, with the next version, the event's time, the given status, and `changes`."""
    return replace(state, status=status, version=state.version + 1, updated=event.time, **changes)


def with_step(state: SagaState, event: SagaEvent, step: str, after: StepState, status: Status) -> SagaState:
    """Return the state after an event that changes one step."""
    steps = changed(state.steps, step, after)
    return replace(state, status=status, version=state.version + 1, updated=event.time, steps=steps)


def taken(state: SagaState, message: str, moves: bool = True) -> SagaState:
    """Return the state after a message was taken. If it `moves` the saga, it becomes the cause of what follows."""
    return replace(
        state,
        # A kept event was counted when it arrived.
        received=state.received if message in state.received else added(state.received, message),
        kept=tuple(one for one in state.kept if one.message != message) if moves and state.kept else state.kept,
        last_message=message if moves else state.last_message,
    )


def in_plain(state: SagaState) -> SagaState:
    """Return the state with plain collections only, which can be encoded and compared anywhere."""
    steps, commands, received = plain(state.steps), plain(state.commands), plain(state.received)
    if steps is state.steps and commands is state.commands and received is state.received:
        return state
    return replace(state, steps=steps, commands=commands, received=received)


def misplaced(state: SagaState, event: SagaEvent, why: str) -> DivergentHistory:
    """Return the error for an event that cannot follow this state."""
    name = type(event).__name__
    return DivergentHistory(
        f"expected an event that can follow version {state.version}, found {name}: {why}; "
        "the history is malformed and is left as it is"
    )


def with_attributes(state: SagaState, event: StepSucceeded | EventReceived) -> SagaState:
    """Return the state with the attributes that an event brings."""
    if not event.attributes and event.attributes_error is None:
        return state
    held = {**state.attributes, **event.attributes}
    left = {name: data for name, data in held.items() if data is not None}
    return replace(state, attributes=left, attributes_error=event.attributes_error or state.attributes_error)
