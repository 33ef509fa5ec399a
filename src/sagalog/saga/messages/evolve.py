"""How messages and waits change the state of a saga: the part of `evolve` that plain steps never need. Pure."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from sagalog.saga import events as e
from sagalog.saga.changes import misplaced, moved, taken, with_step
from sagalog.saga.growing import changed
from sagalog.saga.state import (
    UNTOUCHED,
    ActionStatus,
    CommandState,
    CommandStatus,
    Kept,
    SagaState,
    Side,
    UndoStatus,
    Waiting,
    is_open,
)
from sagalog.saga.transitions import Status


def answered(state: SagaState, command_id: str | None, status: CommandStatus, time: int) -> SagaState:
    """Return the state with the outcome of a command; a later answer replaces a missing one."""
    command = None if command_id is None else state.commands.get(command_id)
    if command_id is None or command is None:
        return state
    after = replace(
        command,
        status=status,
        answered=None if status == "unanswered" else time,
        data=command.data if status == "unanswered" else None,
    )
    return replace(state, commands=changed(state.commands, command_id, after))


def replied(
    state: SagaState,
    before: Side[ActionStatus] | Side[UndoStatus],
    event: e.StepFailed | e.CompensationFailed,
    refused: bool,
) -> SagaState:
    """Return the state with the outcome of an attempt's command, if the attempt sent one and failed."""
    if event.message is None:
        return state if before.waiting is None else answered(state, before.command, "unanswered", event.time)
    return taken(answered(state, before.command, "refused" if refused else "unanswered", event.time), event.message)


def event_received(state: SagaState, event: e.EventReceived, status: Status) -> SagaState:
    """Return the state after a message that moved nothing."""
    if event.message in state.received:
        raise misplaced(state, event, f"message {event.message} was received before")
    kept = (*state.kept, Kept(event.message, event.name, event.data)) if event.kept else state.kept
    state = moved(state, event, status, kept=kept)
    if event.answer is not None:
        state = answered(state, event.causation_id, event.answer, event.time)
    return taken(state, event.message, moves=False)


def _step_waiting(state: SagaState, event: e.StepWaiting, status: Status) -> SagaState:
    before = state.steps.get(event.step, UNTOUCHED)
    action = before.action
    if action.status != "open" or action.waiting is not None:
        raise misplaced(state, event, f"step {event.step} is {action.status} already")
    action = replace(action, waiting=Waiting(event.time, event.until, action.attempts + 1))
    return with_step(state, event, event.step, replace(before, action=action), status)


def _request_sent(state: SagaState, event: e.RequestSent, status: Status) -> SagaState:
    before = state.steps.get(event.step, UNTOUCHED)
    side = before.side(event.direction)
    forwards = event.direction == "action"
    if not is_open(side) or side.waiting is not None:
        raise misplaced(
            state, event, f"step {event.step} is {f'{side.status} already' if forwards else 'not to be undone'}"
        )
    after = replace(
        side,
        status="open" if forwards else "pending",
        retry_at=None,
        waiting=Waiting(event.time, event.until, event.attempt),
        command=event.command_id,
    )
    known = state.commands.get(event.command_id)
    if known is None:
        cause = state.last_message or state.causation_id
        sent = CommandState(event.name, event.step, event.direction, side.round, event.time, cause, event.data)
    else:
        sent = replace(known, status="sent", sendings=known.sendings + 1, answered=None, data=event.data)
    state = with_step(state, event, event.step, before.with_side(event.direction, after), status)
    return replace(state, commands=changed(state.commands, event.command_id, sent))


CHANGES: dict[type[e.SagaEvent], Callable[[SagaState, Any, Status], SagaState]] = {
    e.StepWaiting: _step_waiting,
    e.RequestSent: _request_sent,
}
