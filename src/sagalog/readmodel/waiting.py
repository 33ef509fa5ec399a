"""What an open saga waits for, as its status row says it: computed from what ought to be going on. Pure."""

from sagalog.saga.choreography.decide import awaited_of
from sagalog.saga.choreography.definition import ChoreographyDefinition
from sagalog.saga.definition import Definition
from sagalog.saga.react import AwaitEnd, CallOff, Effect, RunAction, RunCompensation, Wait, WatchDeadline
from sagalog.saga.state import SagaState

# The longest text for what a saga waits for, because a step with many elements can wait for a hundred at once.
MOST_TEXTS = 5

# The current step, its attempt, what the saga waits for, until when, and when to look at it again.
Waiting = tuple[str | None, int, str | None, int | None, int | None]


def waiting_of(definition: Definition, state: SagaState, effects: list[Effect]) -> Waiting:
    """Return what a saga waits for; `effects` is the answer of `react`."""
    if type(definition) is ChoreographyDefinition:
        awaited = ", ".join(f"event {name}" for name in awaited_of(definition.contract, state))
        return None, 0, awaited, state.deadline, state.deadline
    watched = len(effects) == 2 and type(effects[1]) is WatchDeadline
    if watched or len(effects) == 1:
        # The fast path: nearly always one thing is to be begun at once, and perhaps there is the deadline.
        only = effects[0]
        if type(only) is RunAction and not only.at:
            timeout, text = definition.steps[only.step].timeout, f"step {only.step}"
        elif type(only) is RunCompensation and not only.at:
            timeout, text = _timeout(definition, only), f"compensation of {only.step}"
        else:
            return _of_several(definition, state, effects)
        until = None if timeout is None else state.updated + timeout
        if watched and state.deadline is not None:
            until = _earliest(until, state.deadline)
        return only.step, only.attempt, text, until, state.started
    return _of_several(definition, state, effects)


def _of_several(definition: Definition, state: SagaState, effects: list[Effect]) -> Waiting:
    first: RunAction | RunCompensation | AwaitEnd | CallOff | Wait | None = None
    texts: list[str] = []
    more = 0
    until = due = None
    for effect in effects:
        if isinstance(effect, WatchDeadline):
            until, due = _earliest(until, effect.at), _earliest(due, effect.at)
            continue
        first = first or effect
        if len(texts) < MOST_TEXTS:
            texts.append(_text(definition, state, effect))
        else:
            more += 1
        if isinstance(effect, Wait):
            at = effect.until
        elif isinstance(effect, AwaitEnd) or not effect.at:
            # Due since the start: a constant, so that PostgreSQL can update the row without touching an index.
            due = state.started
            timeout = _timeout(definition, effect)
            until = until if timeout is None else _earliest(until, state.updated + timeout)
            continue
        else:
            at = effect.at
        if at is not None:
            until, due = _earliest(until, at), _earliest(due, at)
    if first is None:
        return None, 0, paused_by(state), until, due
    if more:
        texts.append(f"and {more} more")
    text = ", ".join(texts) if state.paused is None else f"{paused_by(state)} ({', '.join(texts)})"
    return first.step, first.attempt, text, until, due


def paused_by(state: SagaState) -> str | None:
    """Return what a saga that is paused waits for; None for any other."""
    return None if state.paused is None else f"unpause: paused by {state.paused}"


def _earliest(one: int | None, other: int) -> int:
    return other if one is None or other < one else one


def _text(
    definition: Definition, state: SagaState, effect: RunAction | RunCompensation | AwaitEnd | CallOff | Wait
) -> str:
    if isinstance(effect, Wait):
        return _awaited(definition, state, effect)
    if isinstance(effect, RunAction):
        return f"retry of {effect.step}" if effect.at else f"step {effect.step}"
    if isinstance(effect, RunCompensation):
        return f"retry of compensation of {effect.step}" if effect.at else f"compensation of {effect.step}"
    return f"end of {effect.step}"


def _awaited(definition: Definition, state: SagaState, effect: Wait) -> str:
    step = definition.step(effect.step)
    if step.child is not None:
        here = state.steps[effect.step]
        what = f"child {step.child.definition.name} {here.child}"
        if effect.direction == "compensation" or here.undo.waiting is not None:
            what = f"undoing of {what}"
        return f"{what}: stuck" if here.child_is_stuck else what
    if step.kind == "sleep":
        return f"sleep {step.name}"
    if step.wait is not None:
        return f"event {step.wait.name}"
    declared = step.side(effect.direction)
    exchange = None if declared is None else declared.exchange
    to = effect.step if effect.direction == "action" else f"compensation of {effect.step}"
    reply = "" if exchange is None or exchange.success_name is None else f" {exchange.success_name}"
    return f"reply{reply} to {to}"


def _timeout(definition: Definition, effect: RunAction | RunCompensation | AwaitEnd | CallOff) -> int | None:
    # The name of a part begins with that of its step; there may be many parts, so it is not taken apart as elsewhere.
    step = definition.steps.get(effect.step) or definition.steps[effect.step.rpartition("[")[0]]
    declared = step.compensation if isinstance(effect, RunCompensation) else step
    return None if declared is None else declared.timeout
