"""Rolling back: what is planned to be undone, what follows while it is undone, and when a saga is stuck. Pure.

The rules are at the head of `decide`, which asks these functions.
"""

from sagalog.saga import events as e
from sagalog.saga.children import decide as children
from sagalog.saga.definition import Definition
from sagalog.saga.progress import pivot_passed, to_be_undone, unfinished
from sagalog.saga.state import SagaState, is_left
from sagalog.saga.transitions import FORWARD
from sagalog.saga.undo_front import undo_front


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
    if not steps and only is None and state.status in FORWARD:
        return e.SagaFailed(time=now, error=cause)
    plan: list[str] = []
    waived: list[str] = []
    for name in steps:
        (waived if definition.step(name).compensation is None else plan).append(name)
    return e.CompensationStarted(time=now, cause=cause, plan=tuple(plan), waived=tuple(waived))


def undo_late(definition: Definition, state: SagaState, names: tuple[str, ...], now: int) -> e.SagaEvent:
    """Return the event that plans to undo steps that succeeded late."""
    late = e.error_from("late", "LateSuccess", "a step that had been given up succeeded after all", names[0])
    return roll_back(definition, state, late, now, names)


def _left_over(state: SagaState, last: e.SagaEvent) -> tuple[str, ...]:
    """Return the steps that have succeeded and are in no plan; a success waits for one only while the saga is stuck."""
    if type(last) is e.SagaResumed:
        return tuple(name for name, step in state.steps.items() if is_left(step))
    if type(last) is e.StepSucceeded and is_left(state.steps[last.step]):
        return (last.step,)
    return ()


def follow_backward(definition: Definition, state: SagaState, last: e.SagaEvent, now: int) -> e.SagaEvent | None:
    """Return the event that follows while a saga is undone: another plan, its end, or that it is stuck."""
    late = _left_over(state, last)
    if late:
        return undo_late(definition, state, late, now)
    front = undo_front(definition, state)
    if front.ending or front.ready:
        if definition.plain or state.paused is not None:
            return None
        return children.child_to_undo(definition, state, (*front.ending, *front.ready), now)
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
