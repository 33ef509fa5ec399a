"""Rolling back: what is planned to be undone, what follows while it is undone, and when a saga is stuck. Pure.

The rules are at the head of `decide`, which asks these functions.
"""

from sagalog.saga import events as e
from sagalog.saga.children import decide as children
from sagalog.saga.definition import Definition
from sagalog.saga.progress import pivot_passed, to_be_undone, undo_front, unfinished
from sagalog.saga.state import SagaState, is_left
from sagalog.saga.transitions import FORWARD


def give_up(definition: Definition, state: SagaState, step: str, found: e.ErrorInfo, now: int) -> e.SagaEvent:
    """Return the event that follows when a step has failed for good: the saga is rolled back, or stuck."""
    error = e.ErrorInfo(found.type, found.message, found.kind, step)
    reason = None
    if error.kind == "fault":
        reason = f"step {step} is at fault: {said(error)}; mend the program, then resume"
    elif step == definition.pivot and _is_unknown(state, step) and not definition.step(step).compensation:
        reason = f"nobody knows whether the pivot {step} was done, and it has no compensation: {said(error)}"
    elif pivot_passed(definition, state):
        reason = f"step {step} did not succeed after the pivot, where nothing is undone any more: {said(error)}"
    if reason is not None:
        return e.SagaStuck(time=now, reason=reason, error=error)
    return roll_back(definition, state, error, now)


def _is_unknown(state: SagaState, step: str) -> bool:
    return state.steps[step].action.status != "refused"


def said(error: e.ErrorInfo) -> str:
    """Return an error as reasons repeat it."""
    return f"{error.type}: {error.message}"


def roll_back(
    definition: Definition,
    state: SagaState,
    cause: e.ErrorInfo,
    now: int,
    only: tuple[str, ...] | None = None,
) -> e.SagaEvent:
    """Return the event that begins to undo, or the saga's end if no step can have had an effect."""
    steps = unfinished(definition, state) if only is None else only
    plan = tuple(name for name in steps if definition.step(name).compensation is not None)
    waived = tuple(name for name in steps if definition.step(name).compensation is None)
    if only is not None and not plan:
        return e.CompensationStarted(time=now, cause=cause, plan=(), waived=waived)
    if not steps and state.status in FORWARD:
        return e.SagaFailed(time=now, error=cause)
    return e.CompensationStarted(time=now, cause=cause, plan=plan, waived=waived)


def undo_late(definition: Definition, state: SagaState, names: tuple[str, ...], now: int) -> e.SagaEvent:
    """Return the event that plans to undo steps that succeeded late."""
    late = e.error_from("late", "LateSuccess", "a step that had been given up succeeded after all", names[0])
    return roll_back(definition, state, late, now, names)


def follow_backward(definition: Definition, state: SagaState, last: e.SagaEvent, now: int) -> e.SagaEvent | None:
    """Return the event that follows while a saga is undone: another plan, its end, or that it is stuck."""
    if type(last) in (e.StepSucceeded, e.SagaResumed):
        late = tuple(name for name, step in state.steps.items() if is_left(step))
        if late:
            return undo_late(definition, state, late, now)
    front = undo_front(definition, state)
    if front.ending or front.ready:
        names = (*front.ending, *front.ready)
        if definition.plain or state.paused is not None:
            return None
        return children.child_to_undo(definition, state, names, now)
    if not front.blocked:
        assert state.cause is not None
        return e.SagaFailed(time=now, error=state.cause)
    step = front.blocked[0]
    here = state.steps[step]
    error = here.undo.error
    if error is None or here.undo.status != "failed":
        text = f"the outcome of {step} is unknown and its compensation cannot take None for the result"
        error = e.error_from("fault", "UnknownOutcome", text, step)
        reason = f"{text}; find out what happened, let it accept `| None`, then resume"
        if (tried := here.action.error) is not None:
            reason = f"{reason}: {said(tried)}"
    else:
        error = e.ErrorInfo(error.type, error.message, error.kind, step)
        reason = f"the compensation of {step} failed for good: {said(error)}"
    return e.SagaStuck(time=now, reason=reason, error=error, pending=to_be_undone(state))
