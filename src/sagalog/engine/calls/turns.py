"""Calls of plain functions that wait for a thread, and those that have one. It starts no thread and judges no outcome.

A call that no thread has begun can be taken back; the thread that reaches it later finds nothing to do. So handlers
that hang in all threads delay no other saga.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from sagalog.engine.backoff import Backoff, Pauses
from sagalog.engine.blocking import Blocking

logger = logging.getLogger("sagalog.engine")

# Seconds without any thread beginning a waiting call, after which all threads are taken for hung. They may only be
# slow: then calls are accepted again as soon as one of them has ended.
STANDSTILL = 1.0
BETWEEN_LOOKS = 0.25
# Hanging functions are logged again after a pause, which doubles each time.
SILENCES = Pauses(10.0, 3600.0)
# How many hanging functions are named in the log.
MOST_NAMED = 5


class Turn:
    """One call of a plain function: it is either begun by a thread or taken back, never both."""

    def __init__(self, what: str, asked_at: float, seconds: float | None, moved: Callable[[], float]) -> None:
        self.what = what
        self.asked_at = asked_at
        # How long it may run; it waits for a thread as long, but not shorter than it takes to see that none is free.
        self.seconds = seconds
        self.patience = None if seconds is None else max(seconds, STANDSTILL)
        self.is_overdue = False
        self.began_at: float | None = None
        self.is_taken_back = False
        self._moved = moved
        # Whoever pops the item has the call: popping from a list is atomic, so only one thread can.
        self._call = [None]

    def begin(self) -> bool:
        """Claim the call for the current thread; return False if it was taken back."""
        now = self._moved()
        if not self._is_taken():
            return False
        self.began_at = now
        return True

    def take_back(self) -> bool:
        """Take the call back, so that it never happens; return False if it has begun."""
        self.is_taken_back = self.began_at is None and self._is_taken()
        return self.is_taken_back

    def _is_taken(self) -> bool:
        try:
            self._call.pop()
        except IndexError:
            return False
        return True


def nothing() -> None:
    """Do nothing; it is called to see when a thread is free."""


class Turns:
    """The calls that wait for a thread or run in one; those that no thread begins in time are taken back."""

    def __init__(self, blocking: Blocking) -> None:
        self._blocking = blocking
        self._loop = asyncio.get_running_loop()
        self._turns: dict[Turn, asyncio.Future[Any]] = {}
        self._moved_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        # Queued behind everything when all threads are taken: once it is run, one of them is free.
        self._sentinel: asyncio.Future[None] | None = None
        self._is_crowded = False
        self._is_stopped = False
        self._listeners: list[Callable[[], None]] = []
        self._silence = Backoff(SILENCES)
        self._silent_until = 0.0

    @property
    def is_stuck(self) -> bool:
        """Tell whether all threads are busy, and none of them has begun a call for long."""
        return self._sentinel is not None

    @property
    def has_threads(self) -> bool:
        """Tell whether more calls may be queued: threads are free, or soon will be."""
        return self._sentinel is None and not self._is_crowded

    def add(self, listener: Callable[[], None]) -> None:
        """Add a callback for when threads are free again."""
        if listener not in self._listeners:
            self._listeners.append(listener)

    def ask(
        self, call: Callable[[Turn], Callable[[], Any]], what: str, seconds: float | None
    ) -> tuple[Turn, "asyncio.Future[Any]"] | None:
        """Queue a call and return its future; None if no thread would reach it.

        When it has waited for `seconds`, it is taken back, and its future is cancelled.
        """
        if self._sentinel is not None or self._is_stopped:
            return None
        turn = Turn(what, self._loop.time(), seconds, self._moved)
        future = self._turns[turn] = self._blocking.handler(call(turn))
        if self._timer is None:
            self._timer = self._loop.call_later(BETWEEN_LOOKS, self._look)
        return turn, future

    def ended(self, turn: Turn) -> None:
        """Forget a call that has ended or was taken back."""
        self._turns.pop(turn, None)

    def stop(self) -> None:
        """Take back all calls that have not begun, since the process stops."""
        self._is_stopped = True
        self._take_back(self._waiting())

    def close(self) -> None:
        """End the timer."""
        if self._timer is not None:
            self._timer.cancel()
        if self._sentinel is not None:
            self._sentinel.cancel()

    def _moved(self) -> float:
        """Note that a thread has reached a call, and return the time. Called by the thread."""
        self._moved_at = self._loop.time()
        return self._moved_at

    def _waiting(self) -> list[Turn]:
        return [turn for turn in self._turns if turn.began_at is None and not turn.is_taken_back]

    def _look(self) -> None:
        """Take back calls that have waited for too long; there is one timer for all."""
        now = self._loop.time()
        waiting = self._waiting()
        was_crowded, self._is_crowded = self._is_crowded, False
        if waiting and now - max(self._moved_at, waiting[0].asked_at) >= STANDSTILL and not self._is_stopped:
            self._stand_still()
            self._take_back(waiting)
        elif waiting:
            self._is_crowded = now - waiting[0].asked_at >= STANDSTILL
            self._take_back([one for one in waiting if one.patience and now - one.asked_at >= one.patience])
        self._say_of_overdue(now)
        if self.is_stuck and now >= self._silent_until:
            self._say(now, len(waiting))
        if was_crowded and self.has_threads:
            self._tell()
        goes_on = self._turns or self.is_stuck or self._is_crowded
        self._timer = self._loop.call_later(BETWEEN_LOOKS, self._look) if goes_on else None

    def _say_of_overdue(self, now: float) -> None:
        """Log once of each call that runs for too long. Nothing may be undone or tried again while it runs."""
        for turn in self._turns:
            if turn.seconds is None or turn.began_at is None or turn.is_overdue or now < turn.began_at + turn.seconds:
                continue
            turn.is_overdue = True
            text = "%s is overdue after %g s; a thread cannot be stopped, so it is waited for"
            logger.warning(text, turn.what, turn.seconds)

    def _take_back(self, turns: list[Turn]) -> None:
        for turn in turns:
            if turn.take_back():
                # This wakes the code that waits for the call, and removes it from the queue of the threads.
                self._turns[turn].cancel()

    def _stand_still(self) -> None:
        if self._sentinel is None:
            self._sentinel = self._blocking.handler(nothing)
            self._sentinel.add_done_callback(self._moves_again)

    def _moves_again(self, sentinel: "asyncio.Future[None]") -> None:
        self._sentinel = None
        if not sentinel.cancelled() and sentinel.exception() is None:
            logger.info("a thread for plain functions is free again")
            self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    def _say(self, now: float, waiting: int) -> None:
        """Log what hangs, more and more seldom."""
        if now > self._silent_until + SILENCES.longest:
            self._silence.reset()
        self._silent_until = now + self._silence.pause()
        running = [(turn.what, now - turn.began_at) for turn in self._turns if turn.began_at is not None]
        named: dict[str, list[float]] = {}
        for what, seconds in running:
            named.setdefault(what, []).append(seconds)
        most = sorted(named.items(), key=lambda one: -len(one[1]))
        shown = [f"{what} ({len(found)}, for {max(found):.0f} s)" for what, found in most[:MOST_NAMED]]
        if len(most) > MOST_NAMED:
            shown.append(f"and {len(most) - MOST_NAMED} more")
        logger.warning(
            "all threads for plain functions are taken, and none has become free for %.0f s: %d run, in %s; what needs "
            "a thread (%d now) is left to other workers until one is free. Give what these functions call a time limit "
            "(a thread cannot be stopped), or raise handler_threads",
            max(STANDSTILL, now - self._moved_at),
            len(running),
            ", ".join(shown) or "functions that sagalog does not know",
            waiting,
        )
