"""What could not be done: how often, and when it is tried again, by a clock that nobody can set. It tries nothing."""

import math
from collections.abc import Callable, Container

from msgspec import Struct

from sagalog.engine.backoff import Backoff, Pauses


class Setback(Struct):
    """How often something was tried in vain, and until when it is left alone."""

    backoff: Backoff
    until: float = 0.0
    # Only those failures that are of the thing itself, as its owner sees it.
    counted: int = 0


class Setbacks:
    """Setbacks by key, each with pauses that grow; `now` is the time of the event loop."""

    def __init__(self, now: Callable[[], float], pauses: Pauses) -> None:
        self._now = now
        self._pauses = pauses
        self._setbacks: dict[str, Setback] = {}

    def add(self, key: str, counts: bool, at_least: float = 0.0, at_most: float = math.inf) -> Setback:
        """Take note of one more failure, and say when it is tried again: after so many seconds at least and at most."""
        found = self._setbacks.setdefault(key, Setback(Backoff(self._pauses)))
        found.counted += counts
        found.until = self._now() + min(max(found.backoff.pause(), at_least), at_most)
        return found

    def waits(self, key: str) -> bool:
        """Tell whether something is left alone for now."""
        found = self._setbacks.get(key)
        return found is not None and self._now() < found.until

    def hurry(self) -> None:
        """Let everything be tried now; the pauses if it fails again go on growing."""
        now = self._now()
        for one in self._setbacks.values():
            one.until = min(one.until, now)

    def forget(self, key: str) -> bool:
        """Say that it went well; returns whether it had not before."""
        return self._setbacks.pop(key, None) is not None

    def keep(self, keys: Container[str]) -> None:
        """Forget all but these: they are done, or somebody else's."""
        self._setbacks = {key: one for key, one in self._setbacks.items() if key in keys}
