"""Pauses that grow while something fails, and start again from the first after a success. Nothing waits here. Pure."""

from msgspec import Struct

# A failing try may be slow and block the only writer, so such tries take at most about a tenth of all time.
SHARE = 10
# The longest rest, in seconds: when an outage is over, nobody should wait long.
LONGEST_REST = 30.0
# More doublings than this exceed every longest pause.
MOST_DOUBLINGS = 60


def is_worth_saying(times: int) -> bool:
    """Tell whether failure number so many is logged: the longer it goes on, the more seldom."""
    return times & (times - 1) == 0


def rest_after(took: float, is_outage: bool = False) -> float:
    """Return how many seconds to rest after a failed try that took so many seconds."""
    return 0.0 if is_outage else min(SHARE * took, LONGEST_REST)


class Pauses(Struct, frozen=True):
    """Pauses in seconds, each twice as long as the one before: from `first` to `longest`."""

    first: float
    longest: float

    def after(self, failures: int) -> float:
        """Return how long to wait after this number of failures in a row, in seconds."""
        return min(self.first * 2.0 ** min(failures - 1, MOST_DOUBLINGS), self.longest)


class Backoff:
    """The pauses of one thing that may fail again and again."""

    def __init__(self, pauses: Pauses) -> None:
        self._pauses = pauses
        self._failures = 0

    @property
    def has_begun(self) -> bool:
        """Tell whether something has failed since the last success."""
        return self._failures > 0

    def pause(self) -> float:
        """Count one more failure and return how long to wait after it, in seconds."""
        self._failures += 1
        return self._pauses.after(self._failures)

    def reset(self) -> None:
        """Begin with the first pause again, after a success."""
        self._failures = 0
