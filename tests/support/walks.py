"""Random walks of the kernel: any inputs in any order, wanted or not, for made-up sagas."""

import random

from stories import RESUME, Choice, any_saga, began, did, failed, undid, undo_failed

from sagalog import Saga
from sagalog.errors import InvalidAction
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.decide import advance
from sagalog.saga.react import RunAction, RunCompensation, Settle, react
from sagalog.saga.state import SagaState
from sagalog.testing.kernel import START

MINUTE = 60_000_000
# None is a success.
DONE: tuple[e.ErrorKind | None, ...] = (None, None, None, None, "error", "timeout", "lost", "refused", "fault")
UNDONE: tuple[e.ErrorKind | None, ...] = (None, None, None, "error", "refused", "fault")


class Walk:
    """One saga that is told things; `states[n]` is what it was after n + 1 decisions."""

    def __init__(self, seeded: random.Random, saga: Saga[Choice] | None = None) -> None:
        self.seeded = seeded
        self.saga = saga or any_saga(seeded)
        self.definition = self.saga.definition
        skipped = [name for name in self.definition.steps if seeded.random() < 0.5]
        mistaken = tuple(name for name in self.definition.steps if seeded.random() < 0.03)
        first = began(self.saga, *skipped, mistaken=mistaken)
        told = i.Start(first.key, first.input, 1, first.correlation_id)
        self.now = START
        self.told: list[tuple[i.Input, int]] = []
        self.events: list[e.SagaEvent] = []
        self.state: SagaState | None = None
        self.live: list[tuple[int, SagaState]] = []
        self.refused = 0
        self.tell(told)

    def tell(self, told: i.Input) -> list[e.SagaEvent]:
        """Tell the saga something and go on with what it decides; what makes no sense changes nothing."""
        self.told.append((told, self.now))
        try:
            events, self.state = advance(self.definition, self.state, told, self.now)
        except InvalidAction:
            self.refused += 1
            return []
        self.events += events
        assert self.state is not None
        self.live.append((len(self.events), self.state))
        return events

    def step(self) -> list[e.SagaEvent]:
        """Tell it the next thing: usually what it waits for, sometimes anything."""
        seeded, state = self.seeded, self.state
        assert state is not None
        self.now += seeded.randrange(MINUTE)
        drawn = seeded.random()
        if drawn < 0.1 and self.told:
            return self.tell(seeded.choice(self.told)[0])
        if drawn < 0.2:
            return self.tell(self._anything())
        if drawn < 0.25:
            self.now = max(self.now, state.deadline or 0)
            return self.tell(i.DeadlineReached())
        effects = [x for x in react(self.definition, state) if isinstance(x, RunAction | RunCompensation | Settle)]
        if not effects:
            return self.tell(RESUME if state.status == "stuck" else self._anything())
        effect = seeded.choice(effects)
        if isinstance(effect, RunCompensation):
            kind = seeded.choice(UNDONE)
            if kind is None:
                return self.tell(undid(effect.step, effect.attempt, effect.epoch))
            return self.tell(undo_failed(effect.step, kind, effect.attempt, effect.epoch))
        return self.tell(self._outcome(effect.step, effect.attempt))

    def finish(self, most: int = 200) -> None:
        """Let everything succeed from here on, and a person resume once, until the saga is at rest."""
        for _ in range(most):
            assert self.state is not None
            effects = [
                x for x in react(self.definition, self.state) if isinstance(x, RunAction | RunCompensation | Settle)
            ]
            if not effects:
                return
            effect = effects[0]
            self.now += MINUTE
            if isinstance(effect, RunCompensation):
                self.tell(undid(effect.step, effect.attempt, effect.epoch))
            else:
                self.tell(did(effect.step, effect.attempt))
        raise AssertionError("it does not come to rest although everything succeeds")

    def _outcome(self, step: str, attempt: int) -> i.Input:
        kind = self.seeded.choice(DONE)
        return did(step, attempt) if kind is None else failed(step, kind, attempt)

    def _anything(self) -> i.Input:
        seeded = self.seeded
        step = seeded.choice(list(self.definition.steps))
        attempt, epoch = seeded.randrange(1, 4), seeded.randrange(2)
        return seeded.choice(
            (
                self._outcome(step, attempt),
                undid(step, attempt, epoch),
                undo_failed(step, "refused" if attempt > 1 else "error", attempt, epoch),
                i.StartAgain("again"),
                RESUME,
            )
        )


def walked(seed: int, steps: int = 25) -> Walk:
    """Return the walk of a seed."""
    walk = Walk(random.Random(seed))
    for _ in range(steps):
        walk.step()
    return walk
