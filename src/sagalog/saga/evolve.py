"""How each event changes the state of a saga: `evolve(state, event) -> state`, for every registered event.

It decides nothing and knows no definition, so any history can be replayed by a process that lacks the saga's code.
An event that cannot follow the state raises `DivergentHistory`. Events of messages, children, parts and
choreographies are handled in their own rooms, by tables like the one below.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from sagalog.errors import DivergentHistory
from sagalog.saga import events as e
from sagalog.saga.actions import evolve as actions
from sagalog.saga.changes import in_plain, misplaced, moved, taken, with_attributes, with_step
from sagalog.saga.children import evolve as children
from sagalog.saga.choreography import evolve as choreography
from sagalog.saga.for_each import evolve as for_each
from sagalog.saga.growing import changed, plain
from sagalog.saga.messages import evolve as messages
from sagalog.saga.messages.evolve import answered, replied
from sagalog.saga.state import (
    NOT_ASKED,
    PLANNED,
    UNTOUCHED,
    ActionStatus,
    SagaState,
    Side,
    StatusT,
    StepState,
    UndoStatus,
    is_done,
    is_open,
    is_to_undo,
)
from sagalog.saga.transitions import CHOREOGRAPHED, TRANSITIONS, Status
from sagalog.saga.undo_front import carry


def evolve(state: SagaState | None, event: e.SagaEvent) -> SagaState:
    """Return the state after `event`.

    Raises `DivergentHistory` when the transition table has no such event in this status.
    """
    if state is None:
        if type(event) is not e.SagaStarted:
            raise _out_of_place(None, event)
        return _started(event)
    found = (_CHANGES if state.kind == "saga" else _CHANGES_FOLLOWED).get((state.status, type(event)))
    if found is None:
        raise _out_of_place(state, event)
    change, status = found
    after = change(state, event, status)
    if after.fans:
        after = for_each.follow(after, event)
    if after.rolling_back:
        carry(state, event, after)
    return after


def _out_of_place(state: SagaState | None, event: e.SagaEvent) -> DivergentHistory:
    found = f"status {state.status} at version {state.version}" if state else "no saga yet"
    return DivergentHistory(
        f"expected an event that can follow {found}, found {type(event).__name__}; "
        "the history is malformed and is left as it is"
    )


def fold(events: Iterable[e.SagaEvent], state: SagaState | None = None) -> SagaState:
    """Return the state after all of `events`; raises `DivergentHistory` if there are none, or if one does not fit."""
    for event in events:
        state = evolve(state, event)
    if state is None:
        raise DivergentHistory("expected a history that begins with SagaStarted, found no event at all")
    return in_plain(state)


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
    if event.attributes or event.attributes_error is not None:
        state = replace(state, attributes=event.attributes, attributes_error=event.attributes_error)
    if event.fork is not None:
        state = actions.adopted(state, event, event.fork)
    if event.parent is None and event.kind == "saga" and not (event.marked or event.called_off):
        return state
    parent = children.parent_of(event)
    return replace(state, kind=event.kind, parent=parent, undo_asked=event.called_off, marked=event.marked)


# ------------------------------------------------------------------------------------------------------- forwards


def _step_succeeded(state: SagaState, event: e.StepSucceeded, status: Status) -> SagaState:
    before = state.steps.get(event.step)
    if before is not None and is_done(before):
        raise misplaced(state, event, f"step {event.step} has {before.action.status} already")
    if before is None and not state.rolling_back:
        # The fast path: nearly every step succeeds at its first attempt.
        done: ActionStatus = "skipped" if event.waived else "succeeded"
        after = StepState(Side(done, event.attempt, event.began, event.time), NOT_ASKED, event.result)
    else:
        after = _succeeded_again(before or UNTOUCHED, event)
    steps = changed(state.steps, event.step, after)
    settled = state.settled + (1 if not state.fans else for_each.settles(state, event.step))
    state = replace(state, status=status, version=state.version + 1, updated=event.time, steps=steps, settled=settled)
    if event.attributes or event.attributes_error is not None:
        state = with_attributes(state, event)
    if event.message is None:
        return state
    return taken(answered(state, after.action.command, "succeeded", event.time), event.message)


def _succeeded_again(before: StepState, event: e.StepSucceeded) -> StepState:
    """Return a step that succeeded although something was recorded of it before: an attempt, or a planned undoing."""
    action = replace(
        before.action,
        status="skipped" if event.waived else "succeeded",
        attempts=max(before.action.attempts, event.attempt),
        began=event.began,
        ended=event.time,
        retry_at=None,
        waiting=None,
    )
    after = replace(before, action=action, result=event.result, late=event.late)
    if before.undo.status in ("none", "waived"):
        return after
    undo = replace(before.undo, status="pending", forgiven=before.undo.attempts, since=None)
    if not event.late:
        return replace(after, undo=undo)
    # A compensation without a result may be under way or done: the real one is another effect with its own id.
    return replace(after, undo=replace(undo, round=undo.round + 1, waiting=None), epoch=before.epoch + 1)


def _step_failed(state: SagaState, event: e.StepFailed, status: Status) -> SagaState:
    before = state.steps.get(event.step, UNTOUCHED)
    # A person may find out of a step whose outcome nobody knew that it was not done.
    if not is_open(before.action) and not (before.action.status == "unknown" and event.outcome == "refused"):
        raise misplaced(state, event, f"step {event.step} is {before.action.status} already")
    action: ActionStatus = "retrying" if event.retry_at is not None else event.outcome
    if event.error.kind == "fault" and not state.rolling_back:
        action = "open"
    after = replace(before, action=_failed_side(before.action, event, action))
    if action == "refused" and is_to_undo(before):
        after = replace(after, undo=replace(before.undo, status="skipped"))
    state = with_step(state, event, event.step, after, status)
    return replied(state, before.action, event, event.outcome == "refused")


def _failed_side(
    side: Side[StatusT], event: e.StepFailed | e.CompensationFailed, status: ActionStatus | UndoStatus
) -> Side[StatusT]:
    """Return one direction of a step after a failed attempt; for a lost attempt the beginning is not known exactly."""
    since = side.since
    if since is None:
        since = event.time if event.began is None else event.began
    return replace(
        side,
        status=status,
        attempts=event.attempt,
        began=event.began,
        ended=event.time,
        error=event.error,
        retry_at=event.retry_at,
        since=since,
        waiting=None,
    )


def _step_skipped(state: SagaState, event: e.StepSkipped, status: Status) -> SagaState:
    if event.step in state.steps:
        raise misplaced(state, event, f"step {event.step} has been begun")
    after = with_step(state, event, event.step, StepState(Side("skipped", ended=event.time), NOT_ASKED), status)
    return replace(after, settled=state.settled + 1)


# ------------------------------------------------------------------------------------------------------ backwards


def _compensation_started(state: SagaState, event: e.CompensationStarted, status: Status) -> SagaState:
    steps = {**plain(state.steps)}
    for step in event.plan:
        before = steps.get(step, UNTOUCHED)
        undo = PLANNED if before.undo is NOT_ASKED else replace(before.undo, status="pending")
        steps[step] = replace(before, undo=undo)
    for step in event.waived:
        here = steps.get(step, UNTOUCHED)
        here = replace(here, undo=replace(here.undo, status="waived"))
        if here.action.waiting is not None and here.action.command is None and here.child is None:
            # A pure wait can have had no effect, so it is dropped.
            here = replace(here, action=replace(here.action, status="dropped", waiting=None, ended=event.time))
        steps[step] = here
    plan, cause = event.plan, state.cause or event.cause
    if state.plan:
        plan = (*plan, *(step for step in state.plan if step not in plan))
    return moved(state, event, status, steps=steps, rolling_back=True, plan=plan, cause=cause, error=cause, ended=None)


def _to_undo(state: SagaState, event: e.StepCompensated | e.CompensationFailed) -> StepState:
    step = state.steps.get(event.step, UNTOUCHED)
    if not is_to_undo(step):
        raise misplaced(state, event, f"step {event.step} is not to be undone")
    return step


def _step_compensated(state: SagaState, event: e.StepCompensated, status: Status) -> SagaState:
    before = _to_undo(state, event)
    undo = replace(
        before.undo,
        status="compensated",
        attempts=event.attempt,
        began=event.began,
        ended=event.time,
        retry_at=None,
        waiting=None,
    )
    state = with_step(state, event, event.step, replace(before, undo=undo), status)
    if status == "abandoned":
        state = replace(state, pending=tuple(name for name in state.pending if name != event.step))
    if event.message is None:
        return state
    return taken(answered(state, undo.command, "succeeded", event.time), event.message)


def _compensation_failed(state: SagaState, event: e.CompensationFailed, status: Status) -> SagaState:
    before = _to_undo(state, event)
    undo = _failed_side(before.undo, event, "retrying" if event.retry_at is not None else "failed")
    state = with_step(state, event, event.step, replace(before, undo=undo), status)
    return replied(state, before.undo, event, event.error.kind == "refused")


# ------------------------------------------------------------------------------------------------- the whole saga


def _completed(state: SagaState, event: e.SagaCompleted, status: Status) -> SagaState:
    # Does the same as `moved`, without building a dict: nearly every saga ends here.
    return replace(state, status=status, version=state.version + 1, updated=event.time, ended=event.time)


def _failed(state: SagaState, event: e.SagaFailed, status: Status) -> SagaState:
    cause = state.cause or event.error
    return moved(state, event, status, ended=event.time, cause=cause, error=event.error, pending=(), actions=())


def _stuck(state: SagaState, event: e.SagaStuck, status: Status) -> SagaState:
    return moved(
        state,
        event,
        status,
        reason=event.reason,
        error=event.error,
        pending=event.pending,
        actions=event.actions,
    )


def _start_refused(state: SagaState, event: e.StartRefused, _: Status) -> SagaState:
    # The event changes nothing in the saga itself, so its update time stays.
    state = replace(state, version=state.version + 1, refused_starts=state.refused_starts + 1)
    return state if event.message is None else taken(state, event.message, moves=False)


def _event_received(state: SagaState, event: e.EventReceived, status: Status) -> SagaState:
    return with_attributes(children.heard(messages.event_received(state, event, status), event), event)


Change = Callable[[SagaState, Any, Status], SagaState]
_EVOLVE: dict[type[e.SagaEvent], Change] = {
    e.StepSucceeded: _step_succeeded,
    e.StepFailed: _step_failed,
    e.StepSkipped: _step_skipped,
    e.EventReceived: _event_received,
    e.CompensationStarted: _compensation_started,
    e.StepCompensated: _step_compensated,
    e.CompensationFailed: _compensation_failed,
    e.SagaCompleted: _completed,
    e.SagaFailed: _failed,
    e.SagaStuck: _stuck,
    e.StartRefused: _start_refused,
    **actions.CHANGES,
    **messages.CHANGES,
    **children.CHANGES,
    **for_each.CHANGES,
}


def _by_status(
    table: Mapping[tuple[Status | None, str], tuple[Status, ...]], changes: Mapping[type[e.SagaEvent], Change]
) -> dict[tuple[Status, type[e.SagaEvent]], tuple[Change, Status]]:
    """Return a table from status and event class to the change and the next status, for one fast lookup."""
    return {
        (before, kind): (change, targets[0])
        for kind, change in changes.items()
        for (before, name), targets in table.items()
        if before is not None and name == kind.__name__
    }


_CHANGES = _by_status(TRANSITIONS, _EVOLVE)
_CHANGES_FOLLOWED = _by_status(CHOREOGRAPHED, {**_EVOLVE, **choreography.CHANGES})
