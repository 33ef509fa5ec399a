"""Attempts of an action or a compensation: how a failure is recorded, and whether another attempt follows. Pure."""

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

# These kinds are never retried: the work was definitely not done, or the program itself is wrong.
FINAL = frozenset(("refused", "fault"))


class Attempt(Struct, frozen=True, gc=False):
    """One attempt of an action or a compensation: its number, and when it began (None: not known)."""

    direction: Direction
    step: str
    number: int
    began: int | None


def last_attempt(direction: Direction, step: str, side: Side[ActionStatus] | Side[UndoStatus], now: int) -> Attempt:
    """Return the attempt that a message ends: the one that waits for it, otherwise the last one recorded."""
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
    """Return the event that records a failed attempt; an action's `outcome` defaults to that of the error."""
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
    """Return when the next attempt is due (microseconds since the epoch), or None if the step is given up.

    `input` carries the jitter. If it says that this was the last attempt, today's retry policy is not asked.
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
    """Tell whether an action may be retried: the saga goes forward, and its deadline has not passed."""
    if state.status not in FORWARD:
        return False
    return state.deadline is None or now < state.deadline or pivot_passed(definition, state)
