"""How each event changes the state of a saga: `evolve(state, event) -> state`, total over the registered events.

It decides nothing and knows no definition, so any history can be replayed by a process that lacks the saga's code.
An event that cannot follow the state raises `DivergentHistory`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from sagalog.errors import DivergentHistory
from sagalog.saga import events as e
from sagalog.saga.children.evolve import heard_of_child, parent_of, with_child, with_undoing_child
from sagalog.saga.children.notes import CHILD_RESUMED, CHILD_STUCK
from sagalog.saga.choreography import evolve as choreographed
from sagalog.saga.for_each.evolve import fanned_out, follow, settles
from sagalog.saga.messages.evolve import (
    answered,
    event_received,
    misplaced,
    request_sent,
    step_waiting,
    taken,
    with_step,
)
from sagalog.saga.state import UNTOUCHED, ActionStatus, CommandStatus, SagaState, StepState
from sagalog.saga.transitions import CHOREOGRAPHED, TRANSITIONS, Status


def evolve(state: SagaState | None, event: e.SagaEvent) -> SagaState:
    """Return the state after `event`.

    Raises `DivergentHistory` when the transition table has no such event in this status.
    """
    if state is None:
        if type(event) is not e.SagaStarted:
            raise _out_of_place(None, event)
        return _started(event)
    found = (_CHANGES if state.kind == "saga" else _TOLD_CHANGES).get((state.status, type(event)))
    if found is None:
        raise _out_of_place(state, event)
    change, status = found
    after = change(state, event, status)
    return follow(after, event) if after.fans else after


def _out_of_place(state: SagaState | None, event: e.SagaEvent) -> DivergentHistory:
    found = f"status {state.status} at version {state.version}" if state else "no saga yet"
    return DivergentHistory(
        f"expected an event that can follow {found}, found {type(event).__name__}; "
        "the history is malformed and is left as it is"
    )


def fold(events: Iterable[e.SagaEvent], state: SagaState | None = None) -> SagaState:
    """Return the state after all of `events`; raises `DivergentHistory` when there is none or one does not fit."""
    for event in events:
        state = evolve(state, event)
    if state is None:
        raise DivergentHistory("expected a history that begins with SagaStarted, found no event at all")
    return state


def _started(event: e.SagaStarted) -> SagaState:
    state = SagaState(
        saga=event.saga,
        definition_version=event.version,
        digest=event.digest,
        key=event.key,
        run=event.run,
        input=event.input,
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
        started=event.time,
        deadline=event.deadline,
        status="started",
        version=1,
        updated=event.time,
        steps={},
        received=() if event.message is None else (event.message,),
    )
    if event.parent is None and event.kind == "saga" and not event.marked:
        return state
    return replace(state, kind=event.kind, parent=parent_of(event), undo_asked=event.called_off, marked=event.marked)


def _step_succeeded(state: SagaState, event: e.StepSucceeded, status: Status) -> SagaState:
    before = state.steps.get(event.step)
    if before is not None and before.action in _SETTLED:
        raise misplaced(state, event, f"step {event.step} has {before.action} already")
    if before is None and not state.rolling_back:
        after = StepState("succeeded", event.attempt, event.began, event.time, event.result)
    else:
        before = before or UNTOUCHED
        asked = before.undo not in ("none", "waived")
        after = replace(
            before,
            action="succeeded",
            attempts=max(before.attempts, event.attempt),
            began=event.began,
            ended=event.time,
            result=event.result,
            retry_at=None,
            late=event.late,
            undo="pending" if asked else before.undo,
            undo_forgiven=before.undo_attempts,
            undo_since=None,
            waiting=None,
        )
        if asked and event.late:
            # An empty compensation may be under way or done: the real one is another, with its own identity.
            after = replace(after, epoch=before.epoch + 1, undo_round=before.undo_round + 1, undo_waiting=None)
    steps = state.steps.copy()
    steps[event.step] = after
    settled = state.settled + (1 if not state.fans else settles(state, event.step))
    state = replace(state, status=status, version=state.version + 1, updated=event.time, steps=steps, settled=settled)
    if event.message is None:
        return state
    return taken(answered(state, after.command, "succeeded", event.time), event.message)


def _step_failed(state: SagaState, event: e.StepFailed, status: Status) -> SagaState:
    before = state.steps.get(event.step, UNTOUCHED)
    if before.action not in ("open", "retrying"):
        raise misplaced(state, event, f"step {event.step} is {before.action} already")
    action: ActionStatus = "retrying" if event.retry_at is not None else event.outcome
    if event.error.kind == "fault" and not state.rolling_back:
        action = "open"
    after = replace(
        before,
        action=action,
        attempts=event.attempt,
        began=event.began,
        ended=event.time,
        error=event.error,
        retry_at=event.retry_at,
        since=_since(before.since, event),
        undo="skipped" if action == "refused" and before.undo == "pending" else before.undo,
        waiting=None,
    )
    state = with_step(state, event, event.step, after, status)
    if event.message is None:
        return state if before.waiting is None else answered(state, before.command, "unanswered", event.time)
    answer: CommandStatus = "refused" if event.outcome == "refused" else "unanswered"
    return taken(answered(state, before.command, answer, event.time), event.message)


def _step_skipped(state: SagaState, event: e.StepSkipped, status: Status) -> SagaState:
    if event.step in state.steps:
        raise misplaced(state, event, f"step {event.step} has been begun")
    after = with_step(state, event, event.step, StepState("skipped", ended=event.time), status)
    return replace(after, settled=state.settled + 1)


def _step_fanned_out(state: SagaState, event: e.StepFannedOut, status: Status) -> SagaState:
    if event.step in state.steps or event.step in state.fans:
        raise misplaced(state, event, f"step {event.step} has been begun")
    after = fanned_out(state, event)
    return replace(after, status=status, version=state.version + 1, updated=event.time)


def _compensation_started(state: SagaState, event: e.CompensationStarted, status: Status) -> SagaState:
    steps = state.steps.copy()
    for step in event.plan:
        before = steps.get(step, UNTOUCHED)
        steps[step] = replace(before, undo="pending")
    for step in event.waived:
        here = replace(steps.get(step, UNTOUCHED), undo="waived")
        if here.waiting is not None and here.command is None and here.child is None:
            # Nothing is under way that could have an effect: it waits no more.
            here = replace(here, action="dropped", waiting=None, ended=event.time)
        steps[step] = here
    return replace(
        state,
        status=status,
        version=state.version + 1,
        updated=event.time,
        steps=steps,
        rolling_back=True,
        plan=(*event.plan, *(step for step in state.plan if step not in event.plan)),
        cause=state.cause or event.cause,
        error=state.cause or event.cause,
        ended=None,
    )


def _to_undo(state: SagaState, event: e.StepCompensated | e.CompensationFailed) -> StepState:
    step = state.steps.get(event.step, UNTOUCHED)
    if step.undo not in ("pending", "retrying", "failed"):
        raise misplaced(state, event, f"step {event.step} is not to be undone")
    return step


def _step_compensated(state: SagaState, event: e.StepCompensated, status: Status) -> SagaState:
    after = replace(
        _to_undo(state, event),
        undo="compensated",
        undo_attempts=event.attempt,
        undo_began=event.began,
        undo_ended=event.time,
        undo_retry_at=None,
        undo_waiting=None,
    )
    state = with_step(state, event, event.step, after, status)
    if event.message is None:
        return state
    return taken(answered(state, after.undo_command, "succeeded", event.time), event.message)


def _compensation_failed(state: SagaState, event: e.CompensationFailed, status: Status) -> SagaState:
    before = _to_undo(state, event)
    after = replace(
        before,
        undo="retrying" if event.retry_at is not None else "failed",
        undo_attempts=event.attempt,
        undo_began=event.began,
        undo_ended=event.time,
        undo_error=event.error,
        undo_retry_at=event.retry_at,
        undo_since=_since(before.undo_since, event),
        undo_waiting=None,
    )
    state = with_step(state, event, event.step, after, status)
    if event.message is None:
        return state if before.undo_waiting is None else answered(state, before.undo_command, "unanswered", event.time)
    answer: CommandStatus = "refused" if event.error.kind == "refused" else "unanswered"
    return taken(answered(state, before.undo_command, answer, event.time), event.message)


def _since(known: int | None, event: e.StepFailed | e.CompensationFailed) -> int:
    """Return when the first attempt of a budget began; one that was lost began at some time before it failed."""
    if known is not None:
        return known
    return event.time if event.began is None else event.began


def _completed(state: SagaState, event: e.SagaCompleted, status: Status) -> SagaState:
    return replace(state, status=status, version=state.version + 1, updated=event.time, ended=event.time)


def _failed(state: SagaState, event: e.SagaFailed, status: Status) -> SagaState:
    return replace(
        state,
        status=status,
        version=state.version + 1,
        updated=event.time,
        ended=event.time,
        cause=state.cause or event.error,
        error=event.error,
        pending=(),
        actions=(),
    )


def _stuck(state: SagaState, event: e.SagaStuck, status: Status) -> SagaState:
    return replace(
        state,
        status=status,
        version=state.version + 1,
        updated=event.time,
        reason=event.reason,
        error=event.error,
        pending=event.pending,
        actions=event.actions,
    )


def _resumed(state: SagaState, event: e.SagaResumed, _: Status) -> SagaState:
    culprit = None if state.error is None else state.error.step
    steps = {name: _forgive(step, state.rolling_back, name == culprit) for name, step in state.steps.items()}
    return replace(
        state,
        status="compensating" if state.rolling_back else "pending",
        version=state.version + 1,
        updated=event.time,
        steps=steps,
        error=state.cause,
        reason=None,
        pending=(),
        actions=(),
    )


def _forgive(step: StepState, rolling_back: bool, culprit: bool) -> StepState:
    """Give what failed for good a fresh retry budget; leave alone what succeeded, and a refusal nobody looked at."""
    if rolling_back:
        if step.undo != "failed":
            return step
        refused = step.undo_error is not None and step.undo_error.kind == "refused"
        # The answer to a command never changes: what was refused is asked for by another one.
        again = step.undo_round + 1 if refused and step.undo_command is not None else step.undo_round
        return replace(step, undo="pending", undo_forgiven=step.undo_attempts, undo_since=None, undo_round=again)
    if step.action in ("open", "unknown"):
        return replace(step, action="open", forgiven=step.attempts, since=None, retry_at=None)
    if step.action == "refused" and culprit:
        again = step.round if step.command is None and step.child is None else step.round + 1
        return replace(step, action="open", forgiven=step.attempts, since=None, retry_at=None, round=again)
    return step


def _start_refused(state: SagaState, event: e.StartRefused, status: Status) -> SagaState:
    state = replace(state, version=state.version + 1, refused_starts=state.refused_starts + 1)
    return state if event.message is None else taken(state, event.message, moves=False)


def _child_started(state: SagaState, event: e.ChildStarted, status: Status) -> SagaState:
    before = state.steps.get(event.step, UNTOUCHED)
    if before.action not in ("open", "retrying") or before.waiting is not None:
        raise misplaced(state, event, f"step {event.step} is {before.action} already")
    return with_step(state, event, event.step, with_child(state, event), status)


def _child_undo_sent(state: SagaState, event: e.ChildUndoSent, status: Status) -> SagaState:
    if state.steps.get(event.step, UNTOUCHED).child != event.child:
        raise misplaced(state, event, f"step {event.step} is another saga")
    return with_step(state, event, event.step, with_undoing_child(state, event), status)


def _undo_asked(state: SagaState, event: e.UndoAsked, status: Status) -> SagaState:
    state = replace(state, status=status, version=state.version + 1, updated=event.time, undo_asked=True)
    return taken(state, event.message)


def _event_received(state: SagaState, event: e.EventReceived, status: Status) -> SagaState:
    state = event_received(state, event, status)
    return heard_of_child(state, event) if event.name in (CHILD_STUCK, CHILD_RESUMED) else state


_SETTLED = ("succeeded", "skipped")
Change = Callable[[SagaState, Any, Status], SagaState]
_EVOLVE: dict[type[e.SagaEvent], Change] = {
    e.StepSucceeded: _step_succeeded,
    e.StepFailed: _step_failed,
    e.StepSkipped: _step_skipped,
    e.StepWaiting: step_waiting,
    e.RequestSent: request_sent,
    e.EventReceived: _event_received,
    e.ChildStarted: _child_started,
    e.ChildUndoSent: _child_undo_sent,
    e.UndoAsked: _undo_asked,
    e.StepFannedOut: _step_fanned_out,
    e.CompensationStarted: _compensation_started,
    e.StepCompensated: _step_compensated,
    e.CompensationFailed: _compensation_failed,
    e.SagaCompleted: _completed,
    e.SagaFailed: _failed,
    e.SagaStuck: _stuck,
    e.SagaResumed: _resumed,
    e.StartRefused: _start_refused,
}


def _by_status(
    table: Mapping[tuple[Status | None, str], tuple[Status, ...]], changes: Mapping[type[e.SagaEvent], Change]
) -> dict[tuple[Status, type[e.SagaEvent]], tuple[Change, Status]]:
    """Return what each event does in each status, and the status after it, found in one look."""
    return {
        (before, kind): (change, targets[0])
        for kind, change in changes.items()
        for (before, name), targets in table.items()
        if before is not None and name == kind.__name__
    }


_CHANGES = _by_status(TRANSITIONS, _EVOLVE)
_TOLD_CHANGES = _by_status(CHOREOGRAPHED, {**_EVOLVE, **choreographed.CHANGES})
