"""Sagas that could not be driven here, and for how long each is left to other workers. It drives none."""

from collections.abc import Callable

from msgspec import Struct

from sagalog.engine.backoff import Backoff

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
# What has not failed for so long, in seconds, begins anew.
FORGOTTEN_AFTER = 10 * LONGEST_PAUSE


class _Failures(Struct):
    """How often a saga could not be driven, and until when it is left alone, by the loop's clock."""

    backoff: Backoff
    problem: BaseException
    number: int = 0
    until: float = 0.0


class GivenUp:
    """Remember failures to drive sagas; `now` is the time of the event loop."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._failures: dict[str, _Failures] = {}

    def __contains__(self, saga_id: str) -> bool:
        found = self._failures.get(saga_id)
        return found is not None and self._now() < found.until

    def add(self, saga_id: str, problem: BaseException) -> float:
        """Take note of one more failure and return for how many seconds the saga is left to others."""
        self._forget_the_old()
        found = self._failures.setdefault(saga_id, _Failures(Backoff(FIRST_PAUSE, LONGEST_PAUSE), problem))
        pause = found.backoff.pause()
        found.number += 1
        found.problem = problem
        found.until = self._now() + pause
        return pause

    def number(self, saga_id: str) -> int:
        """Return how often a saga could not be driven since it last could."""
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
        """Let those that rest be tried now; how long they rest if they fail again goes on growing."""
        now = self._now()
        for one in self._failures.values():
            one.until = min(one.until, now)

    def forget(self, saga_id: str) -> None:
        """Say that a saga could be driven."""
        self._failures.pop(saga_id, None)

    def _forget_the_old(self) -> None:
        # Most were driven by others since, so nobody here will ever say that they could be.
        now = self._now()
        for saga_id in [saga_id for saga_id, one in self._failures.items() if now > one.until + FORGOTTEN_AFTER]:
            del self._failures[saga_id]
