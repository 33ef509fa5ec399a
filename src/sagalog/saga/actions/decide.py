"""What a person may do to a saga, and what follows from it. Pure.

The rules, action by action. Whatever is not allowed is recorded as refused, with the reason, and changes nothing.

cancel      goes back, as the deadline does: before the pivot is reached, and not while the saga goes back already. A
            stuck saga that was going forward goes back, too. Attempts under way are waited for.
retry       what waits for its next attempt is due now; what has failed for good gets a fresh retry budget.
resume      a stuck saga goes on, with a fresh retry budget for what failed for good.
skip        a step of the current stage counts as succeeded with the given result, and is undone like any other; or, if
            waived, as skipped. Not while an attempt may be under way, whose outcome would be lost.
resolve     settles an outcome that nobody knows: "it happened" is a success, "it did not" a refusal. The same for a
            compensation; one that did not happen is tried again.
amend       replaces a recorded result, or the input, for all that reads it from now on.
reschedule  moves the one time that a saga waits for: a step's retry or timer, or else the deadline.
pause       nothing is begun until `unpause`; attempts under way end, messages are taken, time passes.
undo        a completed saga without a pivot, and without a parent, is rolled back.
abandon     ends an open saga as it is; the only end that leaves effects, each of which is named.
fork        lets a new saga go on from where one stood that has ended, before one of its steps: see `fork`.

A choreography is run by nobody, so only its deadline can be moved, and it can be abandoned.
"""

from msgspec.structs import asdict, replace

from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.actions.rules import refusal, time_to_move, what_may_be_done
from sagalog.saga.actions.steps import direction_to_settle, left_standing
from sagalog.saga.attempts import failure, last_attempt
from sagalog.saga.definition import Definition
from sagalog.saga.progress import pivot_passed
from sagalog.saga.rolling_back import roll_back
from sagalog.saga.state import UNTOUCHED, SagaState, is_open


def acted(definition: Definition | None, state: SagaState, act: i.Act, now: int) -> e.SagaEvent | None:
    """Return the event that records an action, or its refusal; None if it is recorded already.

    Without a `definition`, only what needs none is allowed.
    """
    if act.action_id in state.acts:
        return None
    why = refusal(definition, state, act, now)
    if why is not None:
        allowed = what_may_be_done(definition, state, now)
        return e.ActionRefused(time=now, **asdict(act), why=why, allowed=allowed)
    if act.verb == "resume":
        return e.SagaResumed(time=now, actor=act.actor, reason=act.reason, action_id=act.action_id or None)
    return e.ActionTaken(time=now, **asdict(_in_full(state, act)))


def _in_full(state: SagaState, act: i.Act) -> i.Act:
    """Return an action with what it leaves to the state, so that the record says it."""
    if act.verb == "resolve" and act.step is not None and act.direction is None:
        return replace(act, direction=direction_to_settle(state, act.step))
    if act.verb == "reschedule" and (found := time_to_move(state, act)) is not None:
        if not found.step:
            return replace(act, of_deadline=True)
        return replace(act, step=found.step, direction=found.direction)
    return act


def follow(
    definition: Definition | None, state: SagaState, taken: e.ActionTaken, last: e.SagaEvent, now: int
) -> e.SagaEvent | None:
    """Return what an action leads to, event by event; None if the rest follows as it does without an action."""
    if last is taken:
        return _first(definition, state, taken, now)
    if state.status != "stuck" or definition is None or taken.verb not in ("skip", "resolve"):
        return None
    if isinstance(last, e.StepFailed) and not state.rolling_back:
        # After the pivot nothing is undone, so the saga stays as it is until somebody resumes it.
        return None if pivot_passed(definition, state) else roll_back(definition, state, last.error, now)
    return _resumed(taken, now)


def _first(definition: Definition | None, state: SagaState, taken: e.ActionTaken, now: int) -> e.SagaEvent | None:
    match taken.verb:
        case "abandon":
            error = e.error_from("abandoned", "Abandoned", f"by {taken.actor}: {taken.reason}")
            left = left_standing(definition, state)
            return e.SagaAbandoned(time=now, actor=taken.actor, reason=taken.reason, error=error, left=left)
        case "cancel" | "undo" if definition is not None:
            kind = "Cancelled" if taken.verb == "cancel" else "Undone"
            cause = e.error_from("cancelled", kind, f"by {taken.actor}: {taken.reason}")
            return roll_back(definition, state, cause, now)
        case "retry":
            return _resumed(taken, now) if state.status == "stuck" else None
        case "skip" if definition is not None:
            return _skipped(definition, state, taken, now)
        case "resolve":
            return _settled(state, taken, now)
        case _:
            return None


def _resumed(taken: e.ActionTaken, now: int) -> e.SagaResumed:
    return e.SagaResumed(time=now, actor=taken.actor, reason=taken.reason, action_id=taken.action_id)


def _skipped(definition: Definition, state: SagaState, taken: e.ActionTaken, now: int) -> e.SagaEvent:
    assert taken.step is not None
    if definition.step(taken.step).fan is not None and taken.step == definition.step(taken.step).name:
        # Its elements could not be found, so it is skipped like one whose condition is false.
        return e.StepSkipped(time=now, step=taken.step)
    return _succeeded(state, taken, now)


def _settled(state: SagaState, taken: e.ActionTaken, now: int) -> e.SagaEvent | None:
    assert taken.step is not None
    here = state.steps.get(taken.step, UNTOUCHED)
    if taken.direction == "compensation":
        if not taken.happened:
            return _resumed(taken, now) if state.status == "stuck" else None
        attempt = last_attempt("compensation", taken.step, here.undo, now)
        return e.StepCompensated(time=now, step=taken.step, attempt=attempt.number, began=attempt.began or now)
    if taken.happened:
        return _succeeded(state, taken, now)
    attempt = last_attempt("action", taken.step, here.action, now)
    error = e.error_from("refused", "DidNotHappen", f"as {taken.actor} found out: {taken.reason}", taken.step)
    return failure(attempt, error, now)


def _succeeded(state: SagaState, taken: e.ActionTaken, now: int) -> e.StepSucceeded:
    assert taken.step is not None
    here = state.steps.get(taken.step, UNTOUCHED).action
    attempt = last_attempt("action", taken.step, here, now)
    return e.StepSucceeded(
        time=now,
        step=taken.step,
        attempt=attempt.number,
        began=attempt.began or now,
        result=taken.value,
        late=state.rolling_back and not is_open(here),
        waived=taken.waive,
    )
