"""How actions change the state of a saga by themselves; most do so by the events that stand behind them. Pure."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from sagalog.saga import events as e
from sagalog.saga.changes import moved, taken
from sagalog.saga.growing import changed
from sagalog.saga.identifiers import part_of
from sagalog.saga.state import (
    NOT_ASKED,
    UNTOUCHED,
    ActionStatus,
    FanOut,
    SagaState,
    Side,
    StatusT,
    StepState,
    UndoStatus,
)
from sagalog.saga.transitions import Status


def _action_taken(state: SagaState, event: e.ActionTaken, status: Status) -> SagaState:
    state = _recorded(state, event, status)
    match event.verb:
        case "pause":
            return replace(state, paused=event.actor)
        case "unpause":
            return replace(state, paused=None)
        case "fork":
            return replace(state, forked_to=event.fork)
        case "amend":
            return _amended(state, event)
        case "reschedule":
            return _rescheduled(state, event)
        case "retry":
            steps = {name: _hurried(step, state.rolling_back, event.time) for name, step in state.steps.items()}
            return replace(state, steps=steps)
        case "resolve" if event.direction == "compensation" and not event.happened:
            return _with_step(state, event, lambda step: forgiven(step, True, False))
        case _:
            return state


def _action_refused(state: SagaState, event: e.ActionRefused, status: Status) -> SagaState:
    return _recorded(state, event, status)


def _recorded(state: SagaState, event: e.Action, status: Status) -> SagaState:
    """Return the state after an action that has changed nothing yet; one that an event asked for took that event."""
    state = moved(state, event, status, acts=(*state.acts, event.action_id))
    return state if event.event is None else taken(state, event.action_id, moves=False)


def _with_step(state: SagaState, event: e.Action, change: Callable[[StepState], StepState]) -> SagaState:
    name = event.step or ""
    return replace(state, steps=changed(state.steps, name, change(state.steps.get(name, UNTOUCHED))))


def _amended(state: SagaState, event: e.ActionTaken) -> SagaState:
    if event.step is None:
        return replace(state, input=event.value)
    return _with_step(state, event, lambda step: replace(step, result=event.value))


def _rescheduled(state: SagaState, event: e.ActionTaken) -> SagaState:
    until, direction = event.until, event.direction
    if event.of_deadline or direction is None:
        return replace(state, deadline=until)

    def later(step: StepState) -> StepState:
        side = step.side(direction)
        if side.waiting is None:
            return step.with_side(direction, replace(side, retry_at=until))
        return step.with_side(direction, replace(side, waiting=replace(side.waiting, until=until)))

    return _with_step(state, event, later)


def _hurried(step: StepState, rolling_back: bool, now: int) -> StepState:
    """Return a step whose next attempt is due now; what has failed for good gets a fresh retry budget."""
    side = step.undo if rolling_back else step.action
    if side.status == "failed":
        return forgiven(step, True, False)
    if side.status != "retrying" or side.retry_at is None or side.retry_at <= now:
        return step
    return step.with_side("compensation" if rolling_back else "action", replace(side, retry_at=now))


def _resumed(state: SagaState, event: e.SagaResumed, _: Status) -> SagaState:
    culprit = None if state.error is None else state.error.step
    back = state.rolling_back
    steps = {name: forgiven(step, back, name == culprit) for name, step in state.steps.items()}
    acts = state.acts if event.action_id in (None, *state.acts) else (*state.acts, event.action_id)
    status: Status = "compensating" if back else "pending"
    return moved(state, event, status, steps=steps, error=state.cause, reason=None, pending=(), actions=(), acts=acts)


def forgiven(step: StepState, rolling_back: bool, culprit: bool) -> StepState:
    """Give what failed for good a fresh retry budget; keep successes, and refusals that did not make the saga stuck."""
    if rolling_back:
        undo = step.undo
        if undo.status != "failed":
            return step
        # The answer to a command is final, so a refused request is sent again as a new command.
        refused = undo.error is not None and undo.error.kind == "refused" and undo.command is not None
        return replace(step, undo=_afresh(undo, "pending", refused))
    action = step.action
    if action.status in ("open", "unknown"):
        return replace(step, action=_afresh(action, "open", False))
    if action.status == "refused" and culprit:
        return replace(step, action=_afresh(action, "open", action.command is not None or step.child is not None))
    return step


def _afresh(side: Side[StatusT], status: ActionStatus | UndoStatus, by_another: bool) -> Side[StatusT]:
    """Return one direction of a step with a fresh retry budget; `by_another`: it sends a new command."""
    return replace(
        side, status=status, forgiven=side.attempts, since=None, retry_at=None, round=side.round + by_another
    )


def _abandoned(state: SagaState, event: e.SagaAbandoned, status: Status) -> SagaState:
    return moved(state, event, status, ended=event.time, error=event.error, reason=None, pending=event.left, actions=())


def adopted(state: SagaState, event: e.SagaStarted, fork: e.Fork) -> SagaState:
    """Return the state of a saga that begins with steps of another one, which count as just done."""
    steps: dict[str, StepState] = {}
    fans: dict[str, FanOut] = {}
    settled = 0
    for one in fork.adopted:
        if one.elements:
            number = len(one.elements)
            fans[one.step] = FanOut(one.elements, one.at_once, number, (), number)
            settled += 1
            continue
        status: ActionStatus = "skipped" if one.skipped else "succeeded"
        result = None if one.skipped and one.result == e.EMPTY else one.result
        steps[one.step] = StepState(Side(status, 1, event.time, event.time), NOT_ASKED, result)
        part = part_of(one.step)
        settled += part is None or part[0] not in fans
    return replace(state, steps=steps, fans=fans, settled=settled, forked_from=fork.saga_id)


CHANGES: dict[type[e.SagaEvent], Callable[[SagaState, Any, Status], SagaState]] = {
    e.SagaResumed: _resumed,
    e.ActionTaken: _action_taken,
    e.ActionRefused: _action_refused,
    e.SagaAbandoned: _abandoned,
}
