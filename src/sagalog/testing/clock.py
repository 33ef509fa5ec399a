"""A clock that stands until it is told to go on, and chance that comes from a seed; it never reads the machine's."""

import random
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def microseconds(moment: datetime) -> int:
    """Return a moment as events hold it: integer microseconds since the epoch."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


class FakeClock:
    """A `sagalog.clock.Clock` for tests: settable time, and chance that the same seed repeats."""

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
        """Let it be `now`; going back is allowed, since clocks of machines do."""
        self._now = microseconds(now)

    def advance(self, by: timedelta | float) -> int:
        """Let `by` (seconds or a timedelta) pass and return the new time in microseconds since the epoch."""
        seconds = by.total_seconds() if isinstance(by, timedelta) else by
        self._now += round(seconds * 1_000_000)
        return self._now
