"""Sagas that could not be driven here, and for how long each is left to other workers. It drives none itself."""

from collections.abc import Callable

from msgspec import Struct

from sagalog.engine.backoff import Backoff, Pauses
from sagalog.engine.recovery import is_of_the_store

PAUSES = Pauses(1.0, 60.0)
# Seconds without a failure after which the failures of a saga are forgotten.
FORGOTTEN_AFTER = 10 * PAUSES.longest
# What fails because of the whole store is tried one after the other, every so many seconds: when one passes, all may.
PROBE_PAUSE = 2.0


class _Failures(Struct):
    """How often a saga could not be driven, and until when (loop's time) it is left alone."""

    backoff: Backoff
    problem: BaseException
    number: int = 0
    until: float = 0.0


class GivenUp:
    """The sagas that recently could not be driven; `now` returns the time of the event loop."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._failures: dict[str, _Failures] = {}
        # Up to when it is decided which of those that failed because of the whole store is tried.
        self._probed_until = 0.0

    def __contains__(self, saga_id: str) -> bool:
        found = self._failures.get(saga_id)
        return found is not None and self._now() < found.until

    def add(self, saga_id: str, problem: BaseException, at_most: float | None = None) -> float:
        """Count one more failure; return for how many seconds (`at_most` so many) the saga is left to others."""
        self._forget_the_old()
        found = self._failures.setdefault(saga_id, _Failures(Backoff(PAUSES), problem))
        pause = found.backoff.pause()
        if is_of_the_store(problem):
            now = self._now()
            self._probed_until = max(self._probed_until, now) + PROBE_PAUSE
            pause = min(PAUSES.longest, self._probed_until - now)
        pause = pause if at_most is None else min(pause, at_most)
        found.number += 1
        found.problem = problem
        found.until = self._now() + pause
        return pause

    def number(self, saga_id: str) -> int:
        """Return how often a saga could not be driven since the last success."""
        found = self._failures.get(saga_id)
        return 0 if found is None else found.number

    def problem(self, saga_id: str) -> BaseException | None:
        """Return why a saga could not be driven the last time."""
        found = self._failures.get(saga_id)
        return None if found is None else found.problem

    def resting(self) -> list[str]:
        """Return the sagas that are left to others for now."""
        now = self._now()
        return [saga_id for saga_id, one in self._failures.items() if now < one.until]

    def hurry(self) -> None:
        """Let all be tried now; after another failure their pauses continue to grow."""
        now = self._probed_until = self._now()
        for one in self._failures.values():
            one.until = min(one.until, now)

    def forget(self, saga_id: str) -> None:
        """Forget the failures of a saga that was driven; if the store was the cause, let all such sagas be tried."""
        found = self._failures.pop(saga_id, None)
        if found is not None and is_of_the_store(found.problem):
            now = self._probed_until = self._now()
            for one in self._failures.values():
                if is_of_the_store(one.problem):
                    one.until = min(one.until, now)

    def _forget_the_old(self) -> None:
        # Other workers drove most of these since, so no success will be noted here.
        now = self._now()
        for saga_id in [saga_id for saga_id, one in self._failures.items() if now > one.until + FORGOTTEN_AFTER]:
            del self._failures[saga_id]
