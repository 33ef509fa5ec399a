"""Notices when the wall clock was set, since sleeps until a wall-clock time must then be computed again."""

from collections.abc import Callable

from sagalog.clock import Clock

# A difference that counts as a jump, in microseconds. NTP corrects in smaller steps, which are no jump.
JUMP = 1_000_000


class ClockWatch:
    """The wall clock compared with `loop_time`, the monotonic seconds of the event loop."""

    def __init__(self, clock: Clock, loop_time: Callable[[], float]) -> None:
        self._clock = clock
        self._loop_time = loop_time
        self._ahead = self._now_ahead()

    def _now_ahead(self) -> int:
        return self._clock.now() - int(self._loop_time() * 1e6)

    def has_jumped(self) -> bool:
        """Tell whether the clock was set since the last call."""
        before, self._ahead = self._ahead, self._now_ahead()
        if abs(self._ahead - before) < JUMP:
            # Small differences add up: they are kept until they are a jump.
            self._ahead = before
            return False
        return True
