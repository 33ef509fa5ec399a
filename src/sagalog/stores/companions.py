"""Those who write something of their own into each transaction that writes to the log."""

from collections.abc import Callable, Sequence
from typing import Any

from sagalog.store import Append, Posting
from sagalog.store.appending import Companion


def events_of(appends: Sequence[Append]) -> int:
    """Return how many events appends write."""
    return sum(len(append.events) for append in appends)


def messages_of(postings: Sequence[Posting]) -> int:
    """Return how many messages postings write at most."""
    return sum(len(posting.messages) for posting in postings)


class Companions:
    """The companions of one store. They are called by whoever writes, one transaction at a time."""

    def __init__(self) -> None:
        self._all: tuple[Companion, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._all)

    def add(self, companion: Companion) -> Callable[[], None]:
        """Call a companion from now on; return a function that stops it."""
        self._all = (*self._all, companion)

        def stop() -> None:
            self._all = tuple(one for one in self._all if one is not companion)

        return stop

    def write(self, connection: Any, events: int) -> None:
        """Let each write on a connection whose transaction has written at most so many events."""
        for companion in self._all:
            companion(connection, events)
