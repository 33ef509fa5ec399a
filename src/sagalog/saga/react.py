"""What must be going on for a saga in a given state: `react(definition, state) -> effects`, pure.

A saga that is paused begins nothing, but goes on to wait for what is under way, for messages, and for times.

It depends on the state and not on the last event. A process that takes a saga over after a crash asks the same
question as the one before: what ought to be going on now? The engine starts what is not going on yet.
"""

from msgspec import Struct
from msgspec.structs import replace

from sagalog.saga.definition import Definition
from sagalog.saga.events import Direction
from sagalog.saga.parts import names_under_way
from sagalog.saga.progress import deadline_counts, next_stage
from sagalog.saga.state import ActionStatus, SagaState, Side, Waiting, is_open
from sagalog.saga.transitions import FORWARD, OPEN
from sagalog.saga.undo_front import undo_front


class RunAction(Struct, frozen=True, gc=False):
    """Attempt number `attempt` of a step's action, not before `at` (microseconds since the epoch, 0: now)."""

    step: str
    attempt: int
    at: int = 0


class AwaitEnd(Struct, frozen=True, gc=False):
    """Wait for the end of the step's current attempt; if none is under way here, it is reported as lost."""

    step: str
    attempt: int


class CallOff(Struct, frozen=True, gc=False):
    """Find the child saga of a step if it was begun; otherwise see to it that nobody can begin it any more."""

    step: str
    attempt: int
    at: int = 0


class RunCompensation(Struct, frozen=True, gc=False):
    """Attempt number `attempt` of a step's compensation, not before `at` (microseconds since the epoch, 0: now)."""

    step: str
    epoch: int
    attempt: int
    at: int = 0


class WatchDeadline(Struct, frozen=True, gc=False):
    """Watch the deadline: at `at` the input is `DeadlineReached`."""

    at: int


class Wait(Struct, frozen=True, gc=False):
    """Wait for a message (a reply, an event) or a time; at `until` (None: never) the input is `TimerFired`."""

    step: str
    direction: Direction
    attempt: int
    until: int | None


Effect = RunAction | AwaitEnd | CallOff | RunCompensation | Wait | WatchDeadline
# What is not done while a saga is paused.
BEGINNINGS = (RunAction, CallOff, RunCompensation)


def react(definition: Definition, state: SagaState) -> list[Effect]:
    """Return everything that ought to be going on; empty for a saga that has ended or is stuck."""
    status = state.status
    if state.kind == "choreography":
        return _following(state) if status in OPEN else []
    effects: list[Effect] = []
    if status in FORWARD:
        steps = state.steps
        for step in next_stage(definition, state) or ():
            for name in (step.name,) if step.fan is None else names_under_way(state, step):
                if name in steps:
                    _act_again(effects, name, steps[name].action)
                else:
                    effects.append(RunAction(name, 1))
        if state.deadline is not None and (definition.pivot is None or deadline_counts(definition, state)):
            effects.append(WatchDeadline(state.deadline))
    elif status == "compensating":
        _undo(effects, definition, state)
    return effects if state.paused is None else [one for one in effects if not isinstance(one, BEGINNINGS)]


def perhaps_begun(definition: Definition, state: SagaState, effects: list[Effect]) -> set[str]:
    """Return the steps that an owner before may have begun; `effects` are those of this state.

    A saga that is paused or stuck has fewer effects, or none, but steps may have been begun before it was.
    """
    if state.paused is not None or state.status == "stuck":
        status = state.status if state.status != "stuck" else "compensating" if state.rolling_back else "pending"
        effects = react(definition, replace(state, paused=None, status=status))
    return {effect.step for effect in effects if not isinstance(effect, WatchDeadline)}


def _act_again(effects: list[Effect], name: str, action: Side[ActionStatus]) -> None:
    if action.waiting is not None:
        effects.append(_wait(name, "action", action.waiting))
    elif is_open(action):
        effects.append(RunAction(name, action.attempts + 1, action.retry_at or 0))


def _wait(name: str, direction: Direction, waiting: Waiting) -> Wait:
    return Wait(name, direction, waiting.attempt, waiting.until)


def _following(state: SagaState) -> list[Effect]:
    """Return what a choreography waits for: events, and the end of its time."""
    waiting: list[Effect] = [Wait("", "action", 1, None)]
    return waiting if state.deadline is None else [*waiting, WatchDeadline(state.deadline)]


def _undo(effects: list[Effect], definition: Definition, state: SagaState) -> None:
    """Add what goes on while rolling back."""
    front = undo_front(definition, state)
    for name in front.ending:
        effects.append(_end_of(definition, name, state.steps[name].action))
    for name in front.ready:
        here = state.steps[name]
        undo = here.undo
        if undo.waiting is not None:
            effects.append(_wait(name, "compensation", undo.waiting))
        else:
            effects.append(RunCompensation(name, here.epoch, undo.attempts + 1, undo.retry_at or 0))


def _end_of(definition: Definition, name: str, here: Side[ActionStatus]) -> Effect:
    if here.waiting is not None:
        # A sent command or a child must end, or its time be over, before it is known what has to be undone.
        return _wait(name, "action", here.waiting)
    if definition.has_children and definition.steps[name].child is not None:
        return CallOff(name, here.attempts + 1)
    return AwaitEnd(name, here.attempts + 1)
