"""How often something failed, and when it is tried again, by the time of the event loop. It tries nothing itself."""

import math
from collections.abc import Callable, Container

from msgspec import Struct

from sagalog.engine.backoff import Backoff, Pauses


class Setback(Struct):
    """The failures of one thing, and until when it is not tried."""

    backoff: Backoff
    until: float = 0.0
    # Only those failures that are of the thing itself, as its owner sees it.
    counted: int = 0


class Setbacks:
    """Setbacks by key, each with growing pauses; `now` returns the time of the event loop."""

    def __init__(self, now: Callable[[], float], pauses: Pauses) -> None:
        self._now = now
        self._pauses = pauses
        self._setbacks: dict[str, Setback] = {}

    def add(self, key: str, counts: bool, at_least: float = 0.0, at_most: float = math.inf) -> Setback:
        """Count one more failure; the pause until the next try is `at_least` and `at_most` so many seconds."""
        found = self._setbacks.setdefault(key, Setback(Backoff(self._pauses)))
        found.counted += counts
        found.until = self._now() + min(max(found.backoff.pause(), at_least), at_most)
        return found

    def waits(self, key: str) -> bool:
        """Tell whether it is not yet time for the next try."""
        found = self._setbacks.get(key)
        return found is not None and self._now() < found.until

    def hurry(self) -> None:
        """Let everything be tried now; after another failure the pauses continue to grow."""
        now = self._now()
        for one in self._setbacks.values():
            one.until = min(one.until, now)

    def forget(self, key: str) -> bool:
        """Forget the failures of a key after a success; return whether there were any."""
        return self._setbacks.pop(key, None) is not None

    def keep(self, keys: Container[str]) -> None:
        """Forget the failures of all other keys."""
        self._setbacks = {key: one for key, one in self._setbacks.items() if key in keys}
