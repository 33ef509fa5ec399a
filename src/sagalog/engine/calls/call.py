"""One call of a handler: on the loop or in a thread, within its time. It judges nothing that the handler does.

A call that has ended when it has just begun, as that of an async handler that never waits, takes no task and no turn of
the event loop.

What the handler raises can be told from a cancellation of the engine itself, and from an interrupt.
"""

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine
from math import inf
from time import monotonic
from typing import Any, Protocol, cast

from msgspec import Struct

from sagalog.engine.calls.own_task import OwnTask, OwnTasks
from sagalog.engine.calls.turns import Turn, Turns
from sagalog.engine.carrying import let_signals_through
from sagalog.engine.ending import TELL_AGAIN
from sagalog.saga.callables import name_of_callable, plain_answer
from sagalog.saga.failure import Carried, is_a

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


class Stopped(Exception):
    """The engine ended the call before it had an outcome."""


# Called with the result of what took its time; or with what it raised.
Ended = Callable[[Any, BaseException | None], None]


class Call(Struct, frozen=True, eq=False):
    """One call of a handler with these arguments, `first` by position, from `began` until `over`, if that is limited.

    Both are in microseconds since the epoch. It is made while what it is made for is `ours`; `what` names the handler
    in warnings. Its time limit counts from when a thread begins it.
    """

    handler: Callable[..., Any]
    is_async: bool
    first: tuple[Any, ...]
    arguments: dict[str, Any]
    began: int
    over: int | None
    ours: StillOurs
    what: str

    @property
    def seconds(self) -> float | None:
        """Return how long it may take."""
        return None if self.over is None else max(0.0, (self.over - self.began) / 1e6)


class UnderWay(Protocol):
    """A call that takes its time."""

    def when_ended(self, ended: Ended) -> None:
        """Call `ended` once, when the call has ended. It must be said at once, by whoever has begun the call."""
        ...

    def end(self) -> None:
        """Cancel the handler, unless that was done just now: it may need time to clean up. A thread cannot be."""
        ...


class InTask:
    """An async handler that waits, in its own task, until `seconds` have passed; then it is `Overdue`."""

    __slots__ = ("_handler", "_own", "_seconds", "_told_at")

    def __init__(self, own: OwnTask, handler: Callable[..., Any], seconds: float | None) -> None:
        self._own = own
        self._handler = handler
        self._seconds = seconds
        self._told_at = -inf

    def when_ended(self, ended: Ended) -> None:
        """See `UnderWay`."""
        self._own.when_ended(self._seconds, functools.partial(self._has_ended, ended))

    def end(self) -> None:
        """See `UnderWay`."""
        task, now = self._own.task, self._own.loop.time()
        if task is not None and now >= self._told_at + TELL_AGAIN:
            self._told_at = now
            task.cancel()

    def _has_ended(self, ended: Ended, task: "asyncio.Future[Any]") -> None:
        problem = asyncio.CancelledError() if task.cancelled() else task.exception()
        if problem is None:
            _answer(ended, task.result(), self._handler)
        elif self._own.is_overdue and is_a(problem, (TimeoutError, asyncio.CancelledError)):
            ended(None, Overdue(f"no answer within {self._seconds:g} s"))
        elif self._told_at > -inf and is_a(problem, asyncio.CancelledError):
            ended(None, Stopped())
        else:
            ended(None, problem)


class InThread:
    """A plain function in a thread, or on its way to one. It cannot be cancelled; `Turns` may take it back."""

    __slots__ = ("_handler", "_running", "_turn", "_turns")

    def __init__(self, turns: Turns, turn: Turn, running: "asyncio.Future[Any]", handler: Callable[..., Any]) -> None:
        self._turns = turns
        self._turn = turn
        self._running = running
        self._handler = handler

    def when_ended(self, ended: Ended) -> None:
        """See `UnderWay`."""
        self._running.add_done_callback(functools.partial(self._has_ended, ended))

    def end(self) -> None:
        """Do nothing: a thread cannot be ended."""

    def _has_ended(self, ended: Ended, running: "asyncio.Future[Any]") -> None:
        self._turns.ended(self._turn)
        if self._turn.is_taken_back:
            ended(None, NoThread())
        elif running.cancelled():
            ended(None, asyncio.CancelledError())
        elif (problem := running.exception()) is not None:
            ended(None, problem)
        else:
            _answer(ended, running.result(), self._handler)


def _answer(ended: Ended, value: Any, handler: Callable[..., Any]) -> None:
    try:
        answer = plain_answer(value, handler)
    except Exception as problem:
        ended(None, problem)
    else:
        ended(answer, None)


def begin_call(turns: Turns, tasks: OwnTasks, call: Call) -> tuple[UnderWay | None, Any]:
    """Call a handler: on the loop if it is async, else in a thread.

    Returns None and the result if it has ended already: an async handler that never waits is run to its end. Otherwise
    returns the call that is under way.

    Raises what the handler raises (as `Carried` if that is no `Exception`), and `NotBegun` if it was too late to begin
    it. A call under way ends with such an exception too, or with `Overdue` if its time is over, `NoThread` if no thread
    was free for it, or `Stopped` if the engine ended it.
    """
    if call.is_async:
        # A handler cannot be interrupted before it first waits, so one that never waits needs no timer.
        own, value = tasks.begin(call.what, _coroutine, call)
        if own is None:
            return None, plain_answer(value, call.handler)
        return InTask(own, call.handler, call.seconds), None

    def bound(turn: Turn) -> Callable[[], Any]:
        return functools.partial(_if_ours, call, turn)

    asked = turns.ask(bound, call.what, call.seconds)
    if asked is None:
        raise NoThread
    return InThread(turns, *asked, call.handler), None


async def call_handler(turns: Turns, tasks: OwnTasks, call: Call) -> Any:
    """Call a handler as `begin_call` does, and wait for its end.

    If the current task is cancelled, the handler is, and it is still waited for. Raises `CancelledError` in place of
    `Stopped`.
    """
    found: asyncio.Future[tuple[Any, BaseException | None]] = asyncio.get_running_loop().create_future()
    under_way, value = begin_call(turns, tasks, call)
    if under_way is None:
        return value
    under_way.when_ended(lambda answer, raised: found.set_result((answer, raised)))
    while not found.done():
        try:
            await asyncio.wait((found,))
        except asyncio.CancelledError:
            under_way.end()
    answer, raised = found.result()
    if raised is None:
        return answer
    raise asyncio.CancelledError if isinstance(raised, Stopped) else raised


def _coroutine(call: Call) -> Coroutine[Any, Any, Any]:
    made = _if_ours(call)
    if not hasattr(made, "send"):
        name, found = name_of_callable(call.handler), type(made).__name__
        raise TypeError(f"{name} is declared as a coroutine function, and gave {found}")
    return cast("Coroutine[Any, Any, Any]", made)


def _if_ours(call: Call, turn: Turn | None = None) -> Any:
    """Call a handler when its turn has come; raise `NotBegun` if the process lost what it is called for meanwhile."""
    if (turn is not None and not turn.begin()) or not call.ours():
        raise NotBegun
    try:
        return call.handler(*call.first, **call.arguments)
    except StopIteration as problem:
        raise Carried(problem) from None
    except Exception:
        raise
    except BaseException as problem:
        let_signals_through(problem)
        raise Carried(problem) from None
