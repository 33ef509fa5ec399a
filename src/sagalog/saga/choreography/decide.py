"""What follows from an input of a choreography; it replaces what would follow for a saga. Pure.

Nothing is run or sent. Each event that comes is recorded once. Then the process is judged by its contract, and a new
judgement is recorded after the event. The rules are at the head of `contract`.
"""

from collections import Counter
from collections.abc import Iterator

from sagalog.errors import InvalidAction
from sagalog.messages import Envelope
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.choreography.contract import Contract, Verdict
from sagalog.saga.messages.decide import reason_of
from sagalog.saga.state import SagaState
from sagalog.saga.transitions import OPEN


def recorded(contract: Contract, state: SagaState, input: i.Input, now: int) -> e.SagaEvent | None:
    """Return the event that records `input`, or none if it is no news.

    Raises `InvalidAction` for an input that makes no sense for a choreography.
    """
    match input:
        case i.Receive():
            return _received(contract, state, input.message, now)
        case i.DeadlineReached():
            return follow(contract, state, now) if state.status in OPEN else None
        case _:
            raise InvalidAction(f"expected an input of a choreography, found {type(input).__name__}")


def _received(contract: Contract, state: SagaState, message: Envelope, now: int) -> e.SagaEvent | None:
    if message.id in state.received:
        return None
    if not contract.is_effect(message.name):
        return e.EventReceived(
            time=now,
            message=message.id,
            name=message.name,
            data=message.data,
            causation_id=message.causation_id,
            kept=True,
        )
    number = sum(contract.effect_of(step) == message.name for step in state.steps)
    return e.StepSucceeded(
        time=now,
        step=f"{message.name}:{number + 1}" if number else message.name,
        # The publisher's clock may be ahead of this one.
        began=min(message.time, now),
        result=message.data,
        late=state.status == "failed",
        message=message.id,
    )


def follow(contract: Contract, state: SagaState, now: int) -> e.SagaEvent | None:
    """Return the event that records the judgement of the process, if it is new."""
    if state.status == "abandoned":
        return None
    pairs = _pairs(contract, state)
    for step, undoing in pairs:
        if undoing is not None and state.steps[step].undo.status != "compensated":
            return e.StepCompensated(time=now, step=step, began=now, message=undoing)
    stands = tuple(step for step, _ in pairs if state.steps[step].undo.status != "compensated")
    verdict = _judged(contract, state, stands, now)
    match verdict.status:
        case "completed":
            return None if state.status == "completed" else e.SagaCompleted(time=now)
        case "failed":
            error = _deadline(contract, state, stands) if verdict.why == "time" else _cause(state, verdict)
            return None if (state.status, state.error) == ("failed", error) else e.SagaFailed(time=now, error=error)
        case "stuck":
            return _stuck(contract, state, stands, verdict, now)
        case _:
            if state.status == "stuck":
                last = state.kept[-1].name if state.kept else "an event"
                return e.SagaResumed(time=now, actor="choreography", reason=f"{last} came")
            return _compensating(contract, state, stands, verdict, now) if verdict.status == "compensating" else None


def _judged(contract: Contract, state: SagaState, stands: tuple[str, ...], now: int) -> Verdict:
    late = state.error is not None and state.error.kind == "deadline"
    over = late or (state.deadline is not None and now >= state.deadline)
    undone = any(step.undo.status == "compensated" for step in state.steps.values())
    return contract.judge(seen(contract, state), map(contract.effect_of, stands), undone, over)


def _compensating(
    contract: Contract, state: SagaState, stands: tuple[str, ...], verdict: Verdict, now: int
) -> e.SagaEvent | None:
    cause = _cause(state, verdict)
    plan = tuple(name for name in reversed(stands) if state.steps[name].undo.status == "none")
    if state.status == "compensating" and not plan and state.cause == cause:
        return None
    waived = tuple(
        name
        for name, step in state.steps.items()
        if step.undo.status == "none" and contract.compensations.get(contract.effect_of(name), "") is None
    )
    return e.CompensationStarted(time=now, cause=cause, plan=plan, waived=waived)


def _stuck(
    contract: Contract, state: SagaState, stands: tuple[str, ...], verdict: Verdict, now: int
) -> e.SagaEvent | None:
    helpful = awaited_of(contract, state)
    if verdict.why == "contradiction":
        good, bad = verdict.by
        helpful = ()
        reason = f"{good} says that it is completed, and {bad} that it cannot be"
        error = e.error_from("error", "Contradiction", reason)
    elif verdict.why == "person":
        name = verdict.by[-1]
        helpful = contract.after(verdict.by) or helpful
        reason = f"{name} came, from which only a person can go on"
        error = _error_of(state, name)
    else:
        error = _deadline(contract, state, stands)
        reason = error.message
    if state.status == "stuck" and (state.reason, state.pending) == (reason, stands):
        return None
    return e.SagaStuck(
        time=now, reason=reason, error=error, pending=stands, actions=tuple(f"publish {one}" for one in helpful)
    )


def _deadline(contract: Contract, state: SagaState, stands: tuple[str, ...]) -> e.ErrorInfo:
    """Return the error that a process gets when its time is over."""
    parts = ["the time of the process was over before it ended"]
    if stands:
        missing = contract.sorted(str(contract.compensations[contract.effect_of(name)]) for name in stands)
        parts.append(f"{', '.join(stands)} stands and no {' or '.join(missing)} came")
    bad = contract.failures(seen(contract, state))
    if bad:
        cause = _error_of(state, bad[0])
        parts.append(f"it could only fail since {cause.type}: {cause.message}")
    return e.error_from("deadline", "DeadlineReached", "; ".join(parts), stands[0] if stands else None)


def _cause(state: SagaState, verdict: Verdict) -> e.ErrorInfo:
    """Return the error for the failing event nearest to the start of the process; it may have arrived last."""
    return _error_of(state, verdict.by[0])


def _error_of(state: SagaState, name: str) -> e.ErrorInfo:
    step = state.steps.get(name)
    found = [one.data for one in state.kept if one.name == name] if step is None else [step.result or e.EMPTY]
    return e.error_from("refused", name, reason_of(found[0]))


def _pairs(contract: Contract, state: SagaState) -> list[tuple[str, str | None]]:
    """Return each effect that can be undone, with the message that undid it (None: none yet), matched in order."""
    came: dict[str, list[str]] = {}
    for one in state.kept:
        came.setdefault(one.name, []).append(one.message)
    # Two effects may be undone by the same message, but the same effect twice only by two.
    undoing: dict[str, Iterator[str]] = {}
    pairs: list[tuple[str, str | None]] = []
    for step in state.steps:
        effect = contract.effect_of(step)
        undo = contract.compensations.get(effect)
        if undo is not None:
            if effect not in undoing:
                undoing[effect] = iter(came.get(undo, ()))
            pairs.append((step, next(undoing[effect], None)))
    return pairs


def standing(contract: Contract, state: SagaState) -> tuple[str, ...]:
    """Return the effects that have not been undone, in the order in which they came."""
    return tuple(step for step, _ in _pairs(contract, state) if state.steps[step].undo.status != "compensated")


def awaited_of(contract: Contract, state: SagaState) -> tuple[str, ...]:
    """Return the names of the events that may come next."""
    return contract.next(seen(contract, state), [contract.effect_of(step) for step in standing(contract, state)])


def seen(contract: Contract, state: SagaState) -> Counter[str]:
    """Return how often each event has come."""
    return Counter([*(contract.effect_of(step) for step in state.steps), *(one.name for one in state.kept)])
