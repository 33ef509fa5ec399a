"""Attempts of a step, forwards or backwards: what is recorded when one failed, and whether there is another. Pure."""

from msgspec import Struct

from sagalog.saga.definition import Definition
from sagalog.saga.events import (
    CompensationFailed,
    Direction,
    ErrorInfo,
    FailedOutcome,
    StepFailed,
)
from sagalog.saga.inputs import ActionFailed, TimerFired, UndoFailed
from sagalog.saga.progress import pivot_passed
from sagalog.saga.state import UNTOUCHED, ActionStatus, SagaState, Side, UndoStatus
from sagalog.saga.transitions import FORWARD

# An error of this kind is never met by trying again: it was not done and will not be, or a program is mistaken.
FINAL = frozenset(("refused", "fault"))


class Attempt(Struct, frozen=True, gc=False):
    """One attempt to do a step, or to undo it: its number, and when it began (None: nobody knows)."""

    direction: Direction
    step: str
    number: int
    began: int | None


def last_attempt(direction: Direction, step: str, side: Side[ActionStatus] | Side[UndoStatus], now: int) -> Attempt:
    """Return the attempt that a message ends: the one that waits for it, or the last one that was recorded."""
    waiting = side.waiting
    if waiting is not None:
        return Attempt(direction, step, waiting.attempt, waiting.since)
    return Attempt(direction, step, max(1, side.attempts), side.began or now)


def failure(
    attempt: Attempt,
    error: ErrorInfo,
    now: int,
    *,
    outcome: FailedOutcome | None = None,
    retry_at: int | None = None,
    message: str | None = None,
) -> StepFailed | CompensationFailed:
    """Return the event that records a failed attempt; unless given, an action's `outcome` is that of the error."""
    if attempt.direction == "compensation":
        return CompensationFailed(
            time=now,
            step=attempt.step,
            attempt=attempt.number,
            began=attempt.began,
            error=error,
            retry_at=retry_at,
            message=message,
        )
    return StepFailed(
        time=now,
        step=attempt.step,
        attempt=attempt.number,
        began=attempt.began,
        outcome=outcome or ("refused" if error.kind == "refused" else "unknown"),
        error=error,
        retry_at=retry_at,
        message=message,
    )


def next_attempt_at(
    definition: Definition,
    state: SagaState,
    attempt: Attempt,
    error: ErrorInfo,
    input: ActionFailed | UndoFailed | TimerFired,
    now: int,
) -> int | None:
    """Return when there is another attempt after this one failed, or None if the step is given up.

    `input` brings the jitter, and says whether it is known to have been the last one, whatever the policy says today.
    """
    step = definition.step(attempt.step).side(attempt.direction)
    if step is None or error.kind in FINAL:
        return None
    if attempt.direction == "action" and not _may_go_on(definition, state, now):
        return None
    here = state.steps.get(attempt.step, UNTOUCHED).side(attempt.direction)
    spent = attempt.number - here.forgiven
    if input.last is not None:
        return None if input.last else now + step.retry.pause(spent, input.jitter)
    since = here.since or attempt.began
    return step.retry.next_at(spent, now if since is None else since, input.jitter, now)


def _may_go_on(definition: Definition, state: SagaState, now: int) -> bool:
    """Tell whether an action may still be tried: the saga goes forwards, and its time is not over."""
    if state.status not in FORWARD:
        return False
    return state.deadline is None or now < state.deadline or pivot_passed(definition, state)
