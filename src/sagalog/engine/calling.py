"""One call of a handler: on the loop or in a thread, within its time. It judges nothing that the handler does.

Whatever the handler raises comes back as an exception that can be told from what the engine itself was told: a
cancellation, or the end of the program.
"""

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine, Generator
from time import monotonic
from typing import Any

from sagalog.engine.blocking import Blocking
from sagalog.engine.carrying import let_signals_through
from sagalog.saga.callables import name_of_callable, plain_answer
from sagalog.saga.failure import Carried

logger = logging.getLogger("sagalog.engine")

# A handler that holds up the event loop again is not named again for so long, in seconds.
QUIET = 60.0

# Tells whether what an attempt is made for is still owned by whoever makes it.
StillOurs = Callable[[], bool]


class Overdue(Exception):
    """An attempt did not end in its time."""


class NotBegun(Exception):
    """The handler was not called: what it was to be called for may be another worker's by now."""


class LoopWatch:
    """Warn of handlers that hold up the event loop for more than `longest` seconds, each once a minute at most."""

    def __init__(self, longest: float) -> None:
        self.longest = longest
        self._named: dict[str, float] = {}

    def warn(self, what: str, seconds: float) -> None:
        """Name a handler that held the loop up for so long, unless it has just been named."""
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
    blocking: Blocking,
    handler: Callable[..., Any],
    is_async: bool,
    first: tuple[Any, ...],
    arguments: dict[str, Any],
    began: int,
    over: int | None,
    ours: StillOurs,
    what: str,
    watch: LoopWatch,
) -> Any:
    """Call a handler until `over` (microseconds since the epoch): on the loop if it is async, else in a thread.

    `what` names the handler in warnings. Raises what it raises (as `Carried`, if that is no `Exception`), `Overdue` if
    it did not answer in time, and `NotBegun` if its turn came too late.
    """
    call = functools.partial(_if_ours, ours, handler, *first, **arguments)
    if is_async:
        made = call()
        if not hasattr(made, "send"):
            name, found = name_of_callable(handler), type(made).__name__
            raise TypeError(f"{name} is declared as a coroutine function, and gave {found}")
        return plain_answer(await _within(made, began, over, what, watch), handler)
    seconds = None if over is None else max(0.0, (over - began) / 1e6)
    running = blocking.handler(call)
    done, _ = await asyncio.wait((running,), timeout=seconds)
    if not done:
        # A thread cannot be stopped, and nothing may be undone or tried again while it runs: wait for its end.
        logger.warning("%s is overdue after %g s; a thread cannot be stopped, so it is waited for", what, seconds)
    return plain_answer(await running, handler)


def _if_ours(ours: StillOurs, handler: Callable[..., Any], /, *first: Any, **arguments: Any) -> Any:
    """Call a handler now that its turn has come, unless the process stood still meanwhile, and others went on."""
    if not ours():
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


async def _within(
    coroutine: Coroutine[Any, Any, Any], began: int, over: int | None, what: str, watch: LoopWatch
) -> Any:
    """Await a handler until `over`.

    Its first part, up to where it has to wait, cannot be interrupted in any case: it is run without a timer, so that a
    handler that never waits costs none. Then the rest is awaited in the same task, as if nothing had been between.
    """
    try:
        awaited = _stretch(coroutine.send, None, what, watch)
    except StopIteration as end:
        return end.value
    if over is None:
        return await _Rest(coroutine, awaited, what, watch)
    seconds = max(0.0, (over - began) / 1e6)
    timer = asyncio.timeout(seconds)
    try:
        async with timer:
            return await _Rest(coroutine, awaited, what, watch)
    except TimeoutError:
        if timer.expired():
            raise Overdue(f"no answer within {seconds:g} s") from None
        raise


def _stretch(enter: Callable[[Any], Any], given: Any, what: str, watch: LoopWatch) -> Any:
    """Let a coroutine run until it waits again, or ends, which it says with `StopIteration`."""
    since = monotonic()
    try:
        return enter(given)
    except (Exception, asyncio.CancelledError):
        raise
    except BaseException as problem:
        # Not thrown in by us, so it is the handler's own: a `GeneratorExit` would else end whoever awaits it.
        let_signals_through(problem)
        raise Carried(problem) from None
    finally:
        if (seconds := monotonic() - since) > watch.longest:
            watch.warn(what, seconds)


class _Rest:
    """A coroutine that has begun already and waits for `awaited`, as something to await."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], awaited: Any, what: str, watch: LoopWatch) -> None:
        self._coroutine = coroutine
        self._awaited = awaited
        self._what = what
        self._watch = watch

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine, awaited = self._coroutine, self._awaited
        try:
            while True:
                try:
                    sent = yield awaited
                except GeneratorExit:
                    coroutine.close()
                    raise
                except BaseException as thrown:
                    # The handler has to see what the task is told, a cancellation above all.
                    awaited = _stretch(coroutine.throw, thrown, self._what, self._watch)
                else:
                    awaited = _stretch(coroutine.send, sent, self._what, self._watch)
        except StopIteration as end:
            return end.value
