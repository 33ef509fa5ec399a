"""Pauses that grow while something fails, and begin anew when it goes well. It waits for nothing itself."""


def is_worth_saying(times: int) -> bool:
    """Tell whether what has failed so many times is told of: less and less often the longer it takes."""
    return times & (times - 1) == 0


class Backoff:
    """Pauses in seconds, twice as long each time: from `first` to `longest`."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    @property
    def has_begun(self) -> bool:
        """Tell whether something has failed since it last went well."""
        return self._next != self._first

    def pause(self) -> float:
        """Return how long to wait after one more failure."""
        pause, self._next = self._next, min(2 * self._next, self._longest)
        return pause

    def reset(self) -> None:
        """Begin anew: it went well."""
        self._next = self._first
