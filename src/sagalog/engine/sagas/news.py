"""The sagas that something has happened to, and the pass that takes each of them on. It decides nothing itself.

A pass goes through the list once: each saga decides on what has happened to it, its decision is queued for the writer,
and what is to be done after that is begun. What comes of it, at once or later, puts the saga on the list again. So a
saga that waits for nothing but its writes takes no task, no future and no timer.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from contextvars import Context
from typing import Protocol

from sagalog.engine.writing.pieces import Told, tell

# Seconds after which a pass lets the event loop turn to others. What a single handler takes comes on top.
LONGEST_PASS = 0.005


class Driver(Protocol):
    """Whoever drives one saga."""

    has_news: bool

    def go_on(self) -> None:
        """Take the saga as far as it gets without waiting for anything."""
        ...


class News:
    """The list, in the order in which things have happened; passes run in `context`."""

    def __init__(self, context: Context) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = context
        # Outcomes of writes come first: they put sagas on the list.
        self._outcomes: deque[Told] = deque()
        self._drivers: deque[Driver] = deque()
        self._is_awaited = False

    def add(self, driver: Driver) -> None:
        """Let the next pass take this saga on."""
        if driver.has_news:
            return
        driver.has_news = True
        self._drivers.append(driver)
        if not self._is_awaited:
            self._pass_soon()

    def tell(self, told: Iterable[Told]) -> None:
        """Let the next passes tell these outcomes."""
        self._outcomes.extend(told)
        if not self._is_awaited:
            self._pass_soon()

    def take(self) -> None:
        """Make a pass now."""
        if self._drivers or self._outcomes:
            self._context.run(self._pass)

    def _pass_soon(self) -> None:
        self._is_awaited = True
        self._loop.call_soon(self._awaited_pass, context=self._context)

    def _awaited_pass(self) -> None:
        self._is_awaited = False
        self._pass()

    def _pass(self) -> None:
        outcomes, drivers, time = self._outcomes, self._drivers, self._loop.time
        until = time() + LONGEST_PASS
        try:
            while outcomes or drivers:
                if outcomes:
                    tell(*outcomes.popleft())
                else:
                    driver = drivers.popleft()
                    driver.has_news = False
                    try:
                        driver.go_on()
                    except BaseException:
                        # It was interrupted, perhaps in a handler, and nothing else would take it on again.
                        self.add(driver)
                        raise
                if time() >= until:
                    break
        finally:
            # Also after an interrupt, which ends the pass and perhaps not the event loop.
            if (outcomes or drivers) and not self._is_awaited:
                self._pass_soon()
