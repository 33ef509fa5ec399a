"""Notices when the wall clock was set: whoever sleeps until a time of it has to look again. It sets nothing."""

from collections.abc import Callable

from sagalog.clock import Clock

# What NTP corrects bit by bit is no jump; what is this much is seen at the next look. In microseconds.
JUMP = 1_000_000


class ClockWatch:
    """The wall clock beside `loop_time`, the seconds of the event loop, which nobody can set."""

    def __init__(self, clock: Clock, loop_time: Callable[[], float]) -> None:
        self._clock = clock
        self._loop_time = loop_time
        self._ahead = self._now_ahead()

    def _now_ahead(self) -> int:
        return self._clock.now() - int(self._loop_time() * 1e6)

    def has_jumped(self) -> bool:
        """Tell whether the clock was set since this was asked the last time."""
        before, self._ahead = self._ahead, self._now_ahead()
        if abs(self._ahead - before) < JUMP:
            # Small differences add up: they are kept until they are a jump.
            self._ahead = before
            return False
        return True
