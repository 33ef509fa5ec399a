"""Pauses that grow while something fails, and begin anew when it goes well. It waits for nothing itself. Pure."""

from msgspec import Struct

# What fails may take its time, and hold the only writer meanwhile: such tries take at most about a tenth of all time.
SHARE = 10
# An outage holds up everybody anyhow, and when it is over nobody is to wait long: in seconds.
LONGEST_REST = 30.0
# Two to the power of more than this is longer than anybody's longest pause.
MOST_DOUBLINGS = 60


def is_worth_saying(times: int) -> bool:
    """Tell whether what has failed so many times is told of: less and less often the longer it takes."""
    return times & (times - 1) == 0


def rest_after(took: float, is_outage: bool = False) -> float:
    """Return how many seconds nothing is tried after a try in vain that took so many."""
    return 0.0 if is_outage else min(SHARE * took, LONGEST_REST)


class Pauses(Struct, frozen=True):
    """Pauses in seconds, each twice as long as the one before: from `first` to `longest`."""

    first: float
    longest: float

    def after(self, failures: int) -> float:
        """Return how long to wait after so many failures in a row."""
        return min(self.first * 2.0 ** min(failures - 1, MOST_DOUBLINGS), self.longest)


class Backoff:
    """Where one thing that fails again and again stands in its pauses."""

    def __init__(self, pauses: Pauses) -> None:
        self._pauses = pauses
        self._failures = 0

    @property
    def has_begun(self) -> bool:
        """Tell whether something has failed since it last went well."""
        return self._failures > 0

    def pause(self) -> float:
        """Return how long to wait after one more failure."""
        self._failures += 1
        return self._pauses.after(self._failures)

    def reset(self) -> None:
        """Begin anew: it went well."""
        self._failures = 0
