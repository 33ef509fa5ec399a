"""The signs of life of the workers of one store: locks that vanish with this process. It knows no database.

What a fork inherits of a lock is closed in the child: a lock that both had would outlive the parent.
"""

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Protocol

logger = logging.getLogger("sagalog.stores")

# For so many seconds it is not looked again whether a lock is held, for that is asked before each attempt. On
# PostgreSQL others look several times, a poll apart, before they take over. On SQLite they look once, but there only
# code that closes files which are not its own makes a living process lose its lock.
MOMENT = 0.01
# The descriptors of this process that hold a sign of life.
_HELD: set[int] = set()


def closed_in_children(descriptor: int) -> None:
    """Close a descriptor in each process that this one forks, until `kept_in_children` is called."""
    _HELD.add(descriptor)


def kept_in_children(descriptor: int) -> None:
    """Close a descriptor in children no longer; call it before it is closed here, as its number is used again."""
    _HELD.discard(descriptor)


def _close_in_child() -> None:
    for descriptor in _HELD:
        with suppress(OSError):
            os.close(descriptor)
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)


class NoSign(Exception):
    """Raised if there can be no sign of life here: with its reason, and whether that may be otherwise later."""

    def __init__(self, reason: str, *, for_good: bool) -> None:
        super().__init__(reason)
        self.for_good = for_good


class Sign(Protocol):
    """A lock that this process holds; `number` is what it is known by in the database."""

    number: int

    def holds(self) -> bool:
        """Tell whether it is still held; it waits for nothing, and is called from any thread."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Signs:
    """The signs of life of the workers of one store; `make` takes a lock, and raises `NoSign`."""

    def __init__(self, make: Callable[[], Sign]) -> None:
        self._make = make
        self._signs: dict[str, Sign] = {}
        # By the time of `time.monotonic`.
        self._known_until: dict[str, float] = {}
        # Those whose new sign is not written yet: others look for the one before.
        self._unwritten: set[str] = set()
        self._turn = Lock()
        self._is_possible = True
        self._failed = False

    def lacks(self, worker_id: str) -> bool:
        """Tell whether the worker has no sign, and may get one."""
        return self._is_possible and worker_id not in self._signs

    def shown(self, worker_id: str) -> bool:
        """Return False if the worker has lost its sign; that it has not may be known from a moment ago."""
        sign = self._signs.get(worker_id)
        if sign is None:
            return True
        if worker_id in self._unwritten:
            return False
        now = time.monotonic()
        if now < self._known_until.get(worker_id, 0.0):
            return True
        holds = sign.holds()
        self._known_until[worker_id] = now + MOMENT if holds else 0.0
        return holds

    def take(self, worker_id: str) -> int | None:
        """Take a new sign for the worker, and return its number; None if there is none to be had, which is logged.

        It counts once `is_written` is called.
        """
        self.end(worker_id)
        if not self._is_possible:
            return None
        try:
            sign = self._make()
        except NoSign as problem:
            self._is_possible = not problem.for_good
            if not self._failed:
                logger.info("this worker shows no sign of life, if it dies others wait for its lease: %s", problem)
            self._failed = True
            return None
        self._failed = False
        with self._turn:
            self._unwritten.add(worker_id)
            self._signs[worker_id] = sign
        return sign.number

    def is_written(self, worker_id: str) -> None:
        """Record that the database has the number of the worker's sign, so that others look for it."""
        self._unwritten.discard(worker_id)

    def lose(self, worker_id: str) -> None:
        """Let go of the worker's sign, of which perhaps nobody knows, and count it as lost."""
        if worker_id in self._signs:
            self._signs[worker_id].close()
            self._known_until.pop(worker_id, None)

    def end(self, worker_id: str) -> None:
        """Let go of the worker's sign, if it has one."""
        with self._turn:
            sign = self._signs.pop(worker_id, None)
            self._known_until.pop(worker_id, None)
            self._unwritten.discard(worker_id)
        if sign is not None:
            sign.close()

    def close(self) -> None:
        """Let go of all signs."""
        for worker_id in list(self._signs):
            self.end(worker_id)
        self._is_possible = True
