"""Sagas as long as one likes, led to their ends by the kernel and the rows alone; what is written goes nowhere."""

from collections.abc import Iterator
from functools import cache

from kernel.stories import Choice, Do, Done, Happened, Plan, UndoIt, Undone, line, saga_of
from msgspec import Raw
from msgspec.structs import replace

from sagalog import Saga
from sagalog.engine.cycle import Decision, append_of, decision_of
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.react import Effect, RunAction, RunCompensation, Wait
from sagalog.saga.state import SagaState
from sagalog.testing.kernel import START, made, message

REFUSED = e.ErrorInfo("Refused", "no", "refused")


@cache
def in_a_row(number: int) -> Saga[Choice]:
    """Make a saga of so many steps, and a last one."""
    return line(*(f"step-{n}" for n in range(number)), "last")


def for_each(number: int, *, at_once: bool | int = False, requests: bool = False) -> Saga[Choice]:
    """Make a saga of a step that is made for so many elements, and a last one."""
    each = Plan("each", elements=number, at_once=at_once, kind="request" if requests else "call")
    return saga_of([each], [Plan("last")])


def that_waits() -> Saga[Choice]:
    """Make a saga that begins with waiting for its event."""
    return saga_of([Plan("a", kind="wait")], [Plan("last")])


_ELSEWHERE = message(Done(step="elsewhere"), causation_id="elsewhere")


class LedSaga:
    """One saga that is led by what it says ought to be going on; its last step is refused if it is to be undone."""

    def __init__(self, saga: Saga[Choice], *, undone: bool = False) -> None:
        self.definition = saga.definition
        self.undone = undone
        self.state: SagaState | None = None
        self.now = START
        self._effects: list[Effect] = []
        self._messages = 0
        self.tell(i.Start("key", Raw(b"{}"), 1, "key"))

    def tell(self, told: i.Input) -> Decision | None:
        """Decide on an input, and compute all that a decision writes."""
        self.now += 1
        decision = decision_of(self.definition, "saga", self.state, (told,), self.now)
        if decision is not None:
            append_of(decision, "worker", "worker")
            self.state, self._effects = decision.after, decision.effects
        return decision

    def inputs(self) -> Iterator[i.Input]:
        """Yield what comes next, until the saga has ended; whoever asks tells it the saga."""
        while self._effects:
            yield self._next(self._effects[0])

    def next_input(self) -> i.Input:
        """Return what comes next."""
        return next(self.inputs())

    def lead(self, most: int) -> "LedSaga":
        """Tell the saga what comes, so many times at most."""
        for _, told in zip(range(most), self.inputs(), strict=False):
            self.tell(told)
        return self

    def another_message(self) -> i.Receive:
        """Return a message that the saga does not wait for."""
        self._messages += 1
        return i.Receive(replace(_ELSEWHERE.message, id=f"message-{self._messages}"))

    def _next(self, effect: Effect) -> i.Input:
        match effect:
            case RunAction(step) if self.undone and step == "last":
                return i.ActionFailed(step, effect.attempt, self.now, REFUSED)
            case RunAction(step) if self.definition.step(step).kind == "call":
                return i.ActionSucceeded(step, effect.attempt, self.now, Raw(b'"done"'))
            case RunAction(step):
                return made(step, Do(step=step))
            case RunCompensation(step) if self.definition.step(step).kind == "call":
                return i.UndoSucceeded(step, effect.epoch, effect.attempt, self.now)
            case RunCompensation(step):
                return made(step, UndoIt(step=step), direction="compensation")
            case Wait():
                return self._answer(effect)
            case _:
                raise AssertionError(f"nothing answers {effect}")

    def _answer(self, effect: Wait) -> i.Receive:
        self._messages += 1
        assert self.state is not None
        if self.definition.step(effect.step).kind == "wait":
            return message(Happened(key="key"), id=f"message-{self._messages}")
        event = Done(step=effect.step) if effect.direction == "action" else Undone(step=effect.step)
        command = self.state.steps[effect.step].side(effect.direction).command
        return message(event, id=f"message-{self._messages}", causation_id=command)
