"""Trying sagas one by one after something failed for all of them at once; those that fail alone rest for a while."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from sagalog.engine.backoff import is_worth_saying
from sagalog.engine.sagas.given_up import GivenUp
from sagalog.saga.failure import described

Result = TypeVar("Result")

logger = logging.getLogger("sagalog.engine")

# Seconds that failing tries may take in one round: a locked row may be waited for while others wait behind it. The rest
# is tried in the next round, in which those that failed are left out.
LONGEST_IN_VAIN = 2.0
# How many of those that rest are named in the log.
MOST_NAMED = 10


class OneByOne:
    """One kind of work on sagas, done one by one; `cannot` says in the log what failed.

    `passes` raises if the work cannot be done for any saga now; then none is set aside. `now` is the time of the loop.
    """

    def __init__(self, cannot: str, passes: Callable[[], Awaitable[object]], now: Callable[[], float]) -> None:
        self._cannot = cannot
        self._passes = passes
        self._now = now
        self._resting = GivenUp(now)

    def resting(self) -> list[str]:
        """Return the sagas that failed alone and are left out for a while."""
        return self._resting.resting()

    def hurry(self) -> None:
        """Let all be tried now."""
        self._resting.hurry()

    def forget(self, saga_ids: Iterable[str]) -> None:
        """Forget the failures of these sagas after a success."""
        for saga_id in saga_ids:
            self._resting.forget(saga_id)

    async def each(self, saga_ids: Iterable[str], call: Callable[[str], Awaitable[Result]]) -> dict[str, Result]:
        """Call for each saga and return the results by saga; those for which it raised rest for 1 to 60 s."""
        done: dict[str, Result] = {}
        in_vain = 0.0
        passes = False
        for saga_id in saga_ids:
            began = self._now()
            try:
                done[saga_id] = await call(saga_id)
            except Exception as problem:
                in_vain += self._now() - began
                if not done and not passes:
                    await self._passes()
                    passes = True
                self._say_of(saga_id, self._resting.add(saga_id, problem), problem)
                if in_vain > LONGEST_IN_VAIN:
                    break
            else:
                self._resting.forget(saga_id)
        return done

    def _say_of(self, saga_id: str, pause: float, problem: Exception) -> None:
        """Log that a saga rests: less and less often over time, and only some if there are many."""
        is_told = is_worth_saying(self._resting.number(saga_id)) and len(self._resting.resting()) <= MOST_NAMED
        level = logging.WARNING if is_told else logging.DEBUG
        logger.log(level, "saga %s %s, trying again in %g s: %s", saga_id, self._cannot, pause, described(problem))
