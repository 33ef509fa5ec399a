"""Retry policies: how often, for how long, and with which pauses an attempt is repeated."""

from datetime import timedelta
from typing import Any, cast

from msgspec import UNSET, Struct
from msgspec.structs import force_setattr

from sagalog.errors import InvalidRetry
from sagalog.saga.durations import LONGEST, number_of, seconds_of
from sagalog.saga.options import shown

SECOND = 1_000_000
MOST_ATTEMPTS = 1_000_000
LARGEST_FACTOR = 1_000_000
# The number of attempts of `Retry()`, when neither limit is given.
USUAL_ATTEMPTS = 3


class Retry(Struct, frozen=True, kw_only=True):
    """A retry policy: how many attempts there are, for how long, and how long to wait between them.

    There are at most `attempts` attempts (None: no limit). None begins later than `for_` (seconds or a timedelta; None:
    no limit) after the first one began. The limit that is reached first counts. If neither is given, there are 3
    attempts. The pause is `delay` after the first attempt, then `factor` times longer each time, at most `max_delay`
    (both in seconds or as a timedelta). Each pause varies randomly by up to the fraction `jitter` of itself.

    Raises `InvalidRetry`, which is also a `ValueError`, for values that make no policy.
    """

    attempts: int | None = cast(Any, UNSET)
    for_: timedelta | float | None = None
    delay: timedelta | float = 1.0
    factor: float = 2.0
    max_delay: timedelta | float = 60.0
    jitter: float = 0.1

    def __post_init__(self) -> None:
        if cast(object, self.attempts) is UNSET:
            force_setattr(self, "attempts", USUAL_ATTEMPTS if self.for_ is None else None)
        if self.attempts is not None and not (_is_whole(self.attempts) and 1 <= self.attempts <= MOST_ATTEMPTS):
            raise InvalidRetry(
                f"Retry(attempts=...) is a whole number from 1 to {MOST_ATTEMPTS:,}, or None for any number, "
                f"found {shown(self.attempts)}"
            )
        for name in ("delay", "max_delay"):
            if not 0 <= seconds_of(getattr(self, name)) < LONGEST:
                raise InvalidRetry(f"Retry({name}=...) {_A_TIME}, from 0 to under 100 years, {_found(self, name)}")
        if self.for_ is not None and not 0 < seconds_of(self.for_) < LONGEST:
            raise InvalidRetry(
                f"Retry(for_=...) {_A_TIME}, over 0 and under 100 years, or None for ever, {_found(self, 'for_')}"
            )
        if not 1 <= number_of(self.factor) <= LARGEST_FACTOR:
            raise InvalidRetry(f"Retry(factor=...) is a number from 1 to {LARGEST_FACTOR:,}, {_found(self, 'factor')}")
        if not 0 <= number_of(self.jitter) <= 1:
            raise InvalidRetry(f"Retry(jitter=...) is a share between 0 and 1, {_found(self, 'jitter')}")

    @staticmethod
    def mistake(given: object) -> str | None:
        """Return what is wrong with a given policy; None if it is a `Retry`, or None."""
        if given is None or isinstance(given, Retry):
            return None
        return f"retry= takes a Retry, such as Retry(attempts=3), found {shown(given)}"

    def pause(self, attempt: int, jitter: float) -> int:
        """Return the microseconds to wait after `attempt` (from 1); `jitter` is a random number in [0, 1)."""
        delay, longest = seconds_of(self.delay), seconds_of(self.max_delay)
        try:
            seconds = min(longest, delay * float(self.factor) ** (attempt - 1))
        except OverflowError:
            seconds = longest if delay else 0.0
        return int(seconds * (1 + self.jitter * (2 * jitter - 1)) * SECOND)

    def next_at(self, attempt: int, since: int, jitter: float, now: int) -> int | None:
        """Return when to try again after `attempt` (from 1) failed at `now`; None if a limit is reached.

        `since` is when the first attempt began. The last attempt is made exactly when the time is over, not earlier.
        """
        if self.is_over(attempt, since, now):
            return None
        due, longest = now + self.pause(attempt, jitter), self.microseconds
        return due if longest is None else min(due, since + longest)

    def is_over(self, attempt: int, since: int, now: int) -> bool:
        """Tell whether a limit is reached after `attempt` failed at `now`; jitter plays no part."""
        longest = self.microseconds
        return (self.attempts is not None and attempt >= self.attempts) or (
            longest is not None and now >= since + longest
        )

    @property
    def microseconds(self) -> int | None:
        """Return how long after the first attempt the last one may begin, in microseconds; None: no limit of time."""
        return None if self.for_ is None else int(seconds_of(self.for_) * SECOND)


_A_TIME = "is a time in seconds or a timedelta"


def _found(retry: Retry, name: str) -> str:
    return f"found {shown(getattr(retry, name))}"


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# An outage of an hour, or of a night, must need no person. Many attempts show a bug that only looks like an outage.
PATIENT = Retry(for_=86_400, max_delay=300)

ACTION_RETRY = Retry()
COMPENSATION_RETRY = PATIENT
