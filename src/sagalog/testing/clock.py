"""A clock that stands still until a test moves it, with seeded randomness; it never reads the machine's clock."""

import random
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def microseconds(moment: datetime) -> int:
    """Return a datetime as integer microseconds since the epoch, as events hold it."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


class FakeClock:
    """A `sagalog.clock.Clock` for tests: the time is set by the test, and random numbers repeat with the same seed."""

    def __init__(self, now: datetime = NOON, seed: int = 0) -> None:
        self._now = microseconds(now)
        self._random = random.Random(seed)

    def now(self) -> int:
        """Return the time in microseconds since the epoch."""
        return self._now

    def chance(self) -> float:
        """Return the next seeded number in [0, 1)."""
        return self._random.random()

    def token(self) -> int:
        """Return the next 62 seeded bits."""
        return self._random.getrandbits(62)

    def set(self, now: datetime) -> None:
        """Set the time to `now`; going back is allowed, because clocks of machines do."""
        self._now = microseconds(now)

    def advance(self, by: timedelta | float) -> int:
        """Move the time by `by` (seconds or a timedelta) and return it in microseconds since the epoch."""
        seconds = by.total_seconds() if isinstance(by, timedelta) else by
        self._now += round(seconds * 1_000_000)
        return self._now
