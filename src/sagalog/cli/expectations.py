"""What a saga waits for after an event, and what is about to be done, in words; it computes nothing but texts.

What it waits for follows from the state alone. What is about to be done only the definition knows.
"""

from collections.abc import Iterator
from typing import NamedTuple

from sagalog.cli.quantities import duration, moment
from sagalog.cli.table import plain
from sagalog.saga.choreography.decide import awaited_of
from sagalog.saga.choreography.definition import ChoreographyDefinition
from sagalog.saga.definition import Definition
from sagalog.saga.events import Direction
from sagalog.saga.react import AwaitEnd, CallOff, RunAction, RunCompensation, Wait, WatchDeadline, react
from sagalog.saga.state import SagaState, StepState, is_open
from sagalog.saga.transitions import ENDED, FORWARD

BOTH: tuple[Direction, ...] = ("action", "compensation")


class Expectation(NamedTuple):
    """Something that is waited for, and until when; None: without limit."""

    what: str
    until: int | None = None

    def text(self, now: int) -> str:
        """Return it on one line, with the time that is left after the event of time `now`."""
        if self.until is None:
            return plain(self.what)
        left = duration(self.until - now) if self.until >= now else f"{duration(now - self.until)} before"
        return f"{plain(self.what)}, until {moment(self.until)} ({left})"


def expected(state: SagaState) -> list[Expectation]:
    """Return what a saga waits for in a state, without its definition."""
    if state.status in ENDED:
        return []
    if state.status == "stuck":
        return [Expectation(f"a person, who may: {', '.join(state.actions) or 'look at it; nothing lets it go on'}")]
    found = [*_of_pause(state), *(one for name, step in state.steps.items() for one in _of_step(state, name, step))]
    if state.kind == "choreography":
        found.append(Expectation("the events of others"))
    if state.deadline is not None and state.status in FORWARD:
        found.append(Expectation("the deadline of the saga", state.deadline))
    return found


def _of_pause(state: SagaState) -> list[Expectation]:
    return [] if state.paused is None else [Expectation(f"somebody to unpause it, which {state.paused} has paused")]


def _of_step(state: SagaState, name: str, step: StepState) -> Iterator[Expectation]:
    for direction in BOTH:
        side, undo = step.side(direction), "undoing of " if direction == "compensation" else ""
        if side.waiting is not None:
            yield Expectation(_awaited(state, name, step, direction), side.waiting.until)
        elif not is_open(side) or side.status == "open":
            continue
        elif side.retry_at is not None and (state.status in FORWARD or undo):
            yield Expectation(f"attempt {side.attempts + 1} of {undo}{name}", side.retry_at)
        elif undo and state.status == "compensating":
            yield Expectation(f"the undoing of {name}")
        elif state.status == "compensating":
            yield Expectation(f"the end of {name}")


def _awaited(state: SagaState, name: str, step: StepState, direction: Direction) -> str:
    side = step.side(direction)
    command = None if side.command is None else state.commands.get(side.command)
    if command is not None:
        return f"the reply to {command.name}, {'to undo ' if direction == 'compensation' else ''}{name}"
    if step.child is not None:
        undone = " to be undone" if direction == "compensation" else ", which is stuck" if step.child_is_stuck else ""
        return f"the child saga of {name}, {step.child}{undone}"
    return f"{name}: an event, or its time"


class Ahead(NamedTuple):
    """What goes on after an event, as the definition has it: what is waited for, and what is about to be done."""

    waits: list[Expectation]
    effects: list[str]


def ahead(definition: Definition, state: SagaState) -> Ahead:
    """Return what `react` gives for a state, in words."""
    if state.status == "stuck":
        return Ahead(expected(state), [])
    found = Ahead(_of_pause(state) if state.status not in ENDED else [], [])
    for effect in react(definition, state):
        match effect:
            case RunAction(step, attempt, at):
                found.effects.append(f"run {step}{_numbered(attempt)}{_not_before(at)}")
            case RunCompensation(step, _, attempt, at):
                found.effects.append(f"undo {step}{_numbered(attempt)}{_not_before(at)}")
            case CallOff(step):
                found.effects.append(f"find the child saga of {step}, or see to it that it never begins")
            case AwaitEnd(step, attempt):
                found.waits.append(Expectation(f"the end of {step}{_numbered(attempt)}"))
            case WatchDeadline(at):
                found.waits.append(Expectation("the deadline of the saga", at))
            case Wait():
                found.waits.append(_waiting(definition, state, effect))
    return Ahead(found.waits, [plain(text) for text in found.effects])


def _waiting(definition: Definition, state: SagaState, effect: Wait) -> Expectation:
    if isinstance(definition, ChoreographyDefinition):
        awaited = awaited_of(definition.contract, state)
        return Expectation(" or ".join(f"event {name}" for name in awaited) or "no event any more", effect.until)
    step = definition.step(effect.step)
    if step.wait is not None:
        return Expectation(f"event {step.wait.name} for {effect.step}", effect.until)
    if step.kind == "sleep":
        return Expectation(f"time to pass: {effect.step}", effect.until)
    return Expectation(_awaited(state, effect.step, state.steps[effect.step], effect.direction), effect.until)


def _numbered(attempt: int) -> str:
    return f", attempt {attempt}" if attempt > 1 else ""


def _not_before(at: int) -> str:
    return f", not before {moment(at)}" if at else ""
