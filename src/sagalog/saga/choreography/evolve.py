"""How events change the state of a choreography: the part of `evolve` that differs from sagas. It decides nothing.

Every event of the process is counted: as a step if it says that something was done, otherwise in `kept`.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from sagalog.saga import events as e
from sagalog.saga.changes import misplaced, moved, with_attributes, with_step
from sagalog.saga.growing import added, plain
from sagalog.saga.state import NOT_ASKED, UNTOUCHED, ActionStatus, Kept, SagaState, Side, StepState
from sagalog.saga.transitions import Status


def _step_succeeded(state: SagaState, event: e.StepSucceeded, status: Status) -> SagaState:
    """Record an event that says that something was done, as a step."""
    if event.message is None or event.message in state.received or event.step in state.steps:
        raise misplaced(state, event, f"effect {event.step} has been told by a message already, or by none")
    action: Side[ActionStatus] = Side("succeeded", event.attempt, event.began, event.time)
    step = StepState(action, NOT_ASKED, event.result, event.late)
    state = with_step(state, event, event.step, step, status)
    after = replace(
        state,
        settled=state.settled + 1,
        received=added(state.received, event.message),
        last_message=event.message,
    )
    return with_attributes(after, event)


def _event_received(state: SagaState, event: e.EventReceived, status: Status) -> SagaState:
    """Record any other event."""
    if event.message in state.received:
        raise misplaced(state, event, f"message {event.message} was received before")
    if state.status == "started" and state.received:
        status = "pending"
    after = moved(
        state,
        event,
        status,
        received=added(state.received, event.message),
        kept=(*state.kept, Kept(event.message, event.name, event.data)),
        last_message=event.message,
    )
    return with_attributes(after, event)


def _step_compensated(state: SagaState, event: e.StepCompensated, status: Status) -> SagaState:
    """Record that an effect was undone."""
    before = state.steps.get(event.step, UNTOUCHED)
    if before.action.status != "succeeded" or before.undo.status == "compensated":
        raise misplaced(state, event, f"effect {event.step} does not stand")
    undo = replace(before.undo, status="compensated", attempts=event.attempt, began=event.began, ended=event.time)
    return with_step(state, event, event.step, replace(before, undo=undo), status)


def _compensation_started(state: SagaState, event: e.CompensationStarted, status: Status) -> SagaState:
    steps = {**plain(state.steps)}
    unknown = [name for name in (*event.plan, *event.waived) if name not in steps]
    if unknown:
        raise misplaced(state, event, f"effect {unknown[0]} has not been told")
    for name in event.plan:
        steps[name] = replace(steps[name], undo=replace(steps[name].undo, status="pending"))
    for name in event.waived:
        steps[name] = replace(steps[name], undo=replace(steps[name].undo, status="waived"))
    return moved(
        state,
        event,
        status,
        steps=steps,
        rolling_back=True,
        plan=(*event.plan, *(name for name in state.plan if name not in event.plan)),
        # The cause is the first failing event in the order of the process, even if it arrives after its consequences.
        cause=event.cause,
        error=event.cause,
        ended=None,
    )


def _resumed(state: SagaState, event: e.SagaResumed, _: Status) -> SagaState:
    status: Status = "compensating" if state.rolling_back else "pending"
    return moved(state, event, status, error=state.cause, reason=None, pending=(), actions=())


def _completed(state: SagaState, event: e.SagaCompleted, status: Status) -> SagaState:
    return replace(_ended(state, event, status), cause=None, error=None, rolling_back=False)


def _failed(state: SagaState, event: e.SagaFailed, status: Status) -> SagaState:
    return replace(_ended(state, event, status), cause=event.error, error=event.error)


def _ended(state: SagaState, event: e.SagaEvent, status: Status) -> SagaState:
    return moved(
        state,
        event,
        status,
        ended=event.time,
        reason=None,
        pending=(),
        actions=(),
    )


# All other events change sagas and choreographies alike.
CHANGES: dict[type[e.SagaEvent], Callable[[SagaState, Any, Status], SagaState]] = {
    e.StepSucceeded: _step_succeeded,
    e.EventReceived: _event_received,
    e.StepCompensated: _step_compensated,
    e.CompensationStarted: _compensation_started,
    e.SagaResumed: _resumed,
    e.SagaCompleted: _completed,
    e.SagaFailed: _failed,
}
