"""Sagas that got no thread of this process and are left to others, and which definitions are claimed meanwhile."""

from collections.abc import Callable, Mapping, Sequence

from sagalog.clock import Clock
from sagalog.engine.calls.call import NoThread
from sagalog.engine.calls.turns import Turns
from sagalog.engine.sagas.given_up import GivenUp
from sagalog.saga.definition import Definition, StepDefinition
from sagalog.saga.react import Effect, RunAction, RunCompensation
from sagalog.saga.state import SagaState

# Seconds between two claims of sagas that may need a thread while none is free. Some of them may need none now. A saga
# whose deadline is over ends without a thread, even if there is no other worker.
BETWEEN_TRIES = 1.0


def needs_thread(definition: Definition, effect: Effect) -> bool:
    """Tell whether an effect calls a plain function, as far as can be known before it is begun."""
    if isinstance(effect, RunAction):
        return _is_plain(definition.steps[effect.step])
    return isinstance(effect, RunCompensation) and _is_undone_plainly(definition.steps[effect.step])


def _is_plain(step: StepDefinition) -> bool:
    return step.child is None and not step.is_async


def _is_undone_plainly(step: StepDefinition) -> bool:
    return step.compensation is not None and not step.compensation.is_async


class Threadless:
    """The sagas that got no thread; `now` is the time of the event loop."""

    def __init__(
        self, turns: Turns, definitions: Mapping[str, Definition], clock: Clock, now: Callable[[], float]
    ) -> None:
        self._turns = turns
        self._plain = {
            digest
            for digest, definition in definitions.items()
            if any(_is_plain(step) or _is_undone_plainly(step) for step in definition.steps.values())
        }
        self._definitions = list(definitions)
        self._clock = clock
        self._now = now
        self._given_up = GivenUp(now)
        self._try_at = 0.0

    def takes(self, definition: Definition) -> bool:
        """Tell whether a saga may be begun here: it never needs a thread, or threads may become free."""
        return not self._turns.is_stuck or definition.digest not in self._plain

    def claimed(self) -> Sequence[str]:
        """Return the digests of the definitions whose sagas are claimed now."""
        if self._turns.has_threads or self._now() >= self._try_at:
            self._try_at = self._now() + BETWEEN_TRIES
            return self._definitions
        return [digest for digest in self._definitions if digest not in self._plain]

    def resting(self) -> list[str]:
        """Return the sagas that are left to others for now."""
        return self._given_up.resting()

    def driven(self, saga_id: str, state: SagaState, lacks_thread: bool) -> None:
        """Note that a saga was driven: if it got no thread it rests, until its deadline at most."""
        if not lacks_thread:
            self._given_up.forget(saga_id)
            return
        left = None if state.deadline is None else (state.deadline - self._clock.now()) / 1e6
        self._given_up.add(saga_id, NoThread(), left if left is not None and left > 0 else None)

    def hurry(self) -> None:
        """Let all resting sagas be claimed, since a thread is free."""
        self._given_up.hurry()
        self._try_at = 0.0
