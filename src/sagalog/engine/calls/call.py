"""One call of a handler: on the loop or in a thread, within its time. It judges nothing that the handler does.

What the handler raises can be told from a cancellation of the engine itself, and from an interrupt.
"""

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, cast

from sagalog.engine.calls.own_task import OwnTask, OwnTasks
from sagalog.engine.calls.turns import Turn, Turns
from sagalog.engine.carrying import let_signals_through
from sagalog.engine.ending import is_told_to_end
from sagalog.saga.callables import name_of_callable, plain_answer
from sagalog.saga.failure import Carried

logger = logging.getLogger("sagalog.engine")

# Seconds until the same handler is named again for blocking the event loop.
QUIET = 60.0

# Tells whether what an attempt is made for is still owned by whoever makes it.
StillOurs = Callable[[], bool]


class Overdue(Exception):
    """Raised when an attempt did not end in its time."""


class NotBegun(Exception):
    """The handler was not called, since another worker may own the saga or consumer by now."""


class NoThread(NotBegun):
    """The handler was not called, since no thread of this process is free; another process may have one.

    It is known that nothing happened, so it does not count as an attempt.
    """


class LoopWatch:
    """Warns of handlers that block the event loop for more than `longest` seconds, each at most once a minute."""

    def __init__(self, longest: float) -> None:
        self.longest = longest
        self._named: dict[str, float] = {}

    def held_up(self, what: str, seconds: float) -> None:
        """Warn of a handler that blocked the loop for too long, unless a warning of it was logged just now."""
        if seconds <= self.longest:
            return
        now = monotonic()
        if now < self._named.get(what, 0.0):
            return
        self._named[what] = now + QUIET
        logger.warning(
            "%s held up the event loop for %.1f s, and with it every other saga of this process: "
            "let it await, or make it a plain function, which runs in a thread",
            what,
            seconds,
        )


async def call_handler(
    turns: Turns,
    handler: Callable[..., Any],
    is_async: bool,
    first: tuple[Any, ...],
    arguments: dict[str, Any],
    began: int,
    over: int | None,
    ours: StillOurs,
    what: str,
    tasks: OwnTasks,
) -> Any:
    """Call a handler until `over` (microseconds since the epoch): on the loop if it is async, else in a thread.

    `what` names the handler in warnings. Raises what it raises (as `Carried` if that is no `Exception`), `Overdue` if
    its time is over, `NotBegun` if it was too late to begin it, and `NoThread` if no thread was free for it.
    """
    if is_async:
        # A handler cannot be interrupted before it first waits, so one that never waits needs no timer.
        own, value = tasks.begin(what, _coroutine, ours, handler, first, arguments)
        return plain_answer(value if own is None else await _within(own, began, over), handler)
    seconds = None if over is None else max(0.0, (over - began) / 1e6)
    asked = turns.ask(lambda turn: functools.partial(_if_ours, ours, turn, handler, first, arguments), what, seconds)
    if asked is None:
        raise NoThread
    return plain_answer(await _of_thread(turns, *asked, what, seconds), handler)


async def _of_thread(turns: Turns, turn: Turn, running: "asyncio.Future[Any]", what: str, seconds: float | None) -> Any:
    """Wait for the result of a thread; raises `NoThread` if the call was taken back before a thread began it."""
    left = seconds
    try:
        while not await _has_ended(running, left):
            # What waits for a thread has not begun, so it is not overdue.
            assert seconds is not None
            left = turns.left(turn, seconds)
            if left <= 0:
                # A thread cannot be stopped, and nothing may be undone or tried again while it runs: wait for its end.
                text = "%s is overdue after %g s; a thread cannot be stopped, so it is waited for"
                logger.warning(text, what, seconds)
                left = None
        if turn.is_taken_back:
            raise NoThread
        return running.result()
    finally:
        turns.ended(turn)


async def _has_ended(running: "asyncio.Future[Any]", seconds: float | None) -> bool:
    """Wait for a thread, for so long at most. The engine never cancels this wait, so cancellations are ignored."""
    until = None if seconds is None else monotonic() + seconds
    while True:
        left = None if until is None else max(0.0, until - monotonic())
        try:
            return bool((await asyncio.wait((running,), timeout=left))[0])
        except asyncio.CancelledError:
            if is_told_to_end():
                raise


def _coroutine(
    ours: StillOurs, handler: Callable[..., Any], first: tuple[Any, ...], arguments: dict[str, Any]
) -> Coroutine[Any, Any, Any]:
    made = _if_ours(ours, None, handler, first, arguments)
    if not hasattr(made, "send"):
        name, found = name_of_callable(handler), type(made).__name__
        raise TypeError(f"{name} is declared as a coroutine function, and gave {found}")
    return cast("Coroutine[Any, Any, Any]", made)


def _if_ours(
    ours: StillOurs, turn: Turn | None, handler: Callable[..., Any], first: tuple[Any, ...], arguments: dict[str, Any]
) -> Any:
    """Call a handler when its turn has come; raise `NotBegun` if the process lost what it is called for meanwhile."""
    if (turn is not None and not turn.begin()) or not ours():
        raise NotBegun
    try:
        return handler(*first, **arguments)
    except StopIteration as problem:
        raise Carried(problem) from None
    except Exception:
        raise
    except BaseException as problem:
        let_signals_through(problem)
        raise Carried(problem) from None


async def _within(own: OwnTask, began: int, over: int | None) -> Any:
    """Wait for a handler that has begun, until `over`; raises `Overdue`."""
    seconds = None if over is None else max(0.0, (over - began) / 1e6)
    try:
        return await own.end_within(seconds)
    except (TimeoutError, asyncio.CancelledError):
        if own.is_overdue:
            raise Overdue(f"no answer within {seconds:g} s") from None
        raise
