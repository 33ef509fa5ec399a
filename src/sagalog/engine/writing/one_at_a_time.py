"""Appends that may be asked for again and again while the store is away: at most one is queued for each purpose.

Otherwise a client that tries once a second would queue an append for each second of an outage, all but one in vain.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from sagalog.engine.writing.committer import Committer
from sagalog.engine.writing.pieces import Outcome, Then, resolve
from sagalog.store import Append, AppendOutcome


class Waiting:
    """A queued append, and those who wait for it."""

    __slots__ = ("_append", "_committer", "_futures", "_over", "_then")

    def __init__(self, committer: Committer, append: Append, then: Then, over: Callable[[], object]) -> None:
        self._committer = committer
        self._append = append
        self._then = then
        self._over = over
        self._futures: tuple[asyncio.Future[AppendOutcome], ...] = ()

    def future(self) -> "asyncio.Future[AppendOutcome]":
        """Return one more future of the outcome."""
        future = self._committer.within_time(self._append)
        self._futures = (*self._futures, future)
        return future

    def is_over(self, outcome: Outcome) -> None:
        """Tell the outcome to all who wait."""
        self._over()
        try:
            self._then(outcome)
        finally:
            for future in self._futures:
                resolve(future, outcome)


class OneAtATime:
    """Queued appends, each for a purpose such as a key; callers get the store's error after their time to wait."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._queued: dict[Any, Waiting] = {}

    def other(self, purpose: object) -> "asyncio.Future[AppendOutcome] | None":
        """Return a future of the append that is queued for the same purpose, if there is one."""
        queued = self._queued.get(purpose)
        return None if queued is None else queued.future()

    def submit(self, purpose: object, append: Append, then: Then) -> "asyncio.Future[AppendOutcome]":
        """Submit an append, if no other one is queued for the same purpose; the future has its outcome, or raises it.

        `then` is called with the outcome before, also if nobody waits for the future any more.
        """
        assert purpose not in self._queued
        queued = self._queued[purpose] = Waiting(self._committer, append, then, partial(self._queued.pop, purpose))
        future = queued.future()
        self._committer.submit_urgent(append, queued.is_over)
        return future
