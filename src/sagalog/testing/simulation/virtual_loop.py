"""An asyncio loop whose time is virtual and whose order is seeded, and processes on it that can be killed.

It does no I/O and starts no thread: a day of waiting costs nothing, and the same seed gives the same run.
"""

import asyncio
import contextlib
import contextvars
import heapq
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, TypeVarTuple, cast

Result = TypeVar("Result")
Args = TypeVarTuple("Args")

_INSIDE: "contextvars.ContextVar[Incarnation | None]" = contextvars.ContextVar("sagalog_incarnation", default=None)


class Deadlock(Exception):
    """Raised when nothing is ready and no timer is set, but something still waits."""


class OutOfTurns(Exception):
    """Raised when the simulation takes more turns of the loop than allowed: it runs in a circle."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop that runs callbacks in a seeded random order, and jumps to the next timer when nothing is ready.

    Callbacks of a killed `Incarnation` are discarded; those of a paused one are held back.
    """

    def __init__(self, seeded: random.Random, most_turns: int = 1_000_000) -> None:
        super().__init__()
        self._seeded = seeded
        self._now = 0.0
        self._turns_left = most_turns
        # All tasks are kept to the end: collecting an unfinished one of a killed process would run its `finally`.
        self._made: list[asyncio.Task[Any]] = []
        self._queue: list[Any] = []
        self._timers: list[tuple[float, int, Any]] = []
        self._timers_made = 0
        # Unfinished tasks of killed incarnations are expected, so they are not reported.
        self.set_exception_handler(lambda _loop, _context: None)

    def time(self) -> float:
        """Return the seconds of virtual time that have passed."""
        return self._now

    # The three methods that follow do what every loop does, in fewer steps: a simulation makes millions of callbacks.

    def call_soon(
        self,
        callback: Callable[[*Args], object],
        *args: *Args,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Run a callback in the next turn."""
        handle = asyncio.Handle(callback, args, self, context)
        self._queue.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Args], object],
        *args: *Args,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run a callback after `delay` virtual seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Args], object],
        *args: *Args,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run a callback at a virtual time."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._timers_made += 1
        heapq.heappush(self._timers, (when, self._timers_made, timer))
        return timer

    def call_soon_threadsafe(
        self,
        callback: Callable[[*Args], object],
        *args: *Args,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Run a callback in the next turn; there is only one thread."""
        return self.call_soon(callback, *args, context=context)

    def create_task(self, coro: Any, **options: Any) -> "asyncio.Task[Any]":
        """Create a task and keep it to the end."""
        task = super().create_task(coro, **options)
        self._made.append(task)
        return task

    def again(self, held: list[asyncio.Handle]) -> None:
        """Run callbacks that were held back."""
        self._queue.extend(held)

    def abandon(self) -> None:
        """Close the loop and discard its unfinished tasks."""
        for task in self._made:
            coroutine = task.get_coro()
            for _ in range(0 if task.done() else 5):
                # A coroutine that awaits something while it is closed must be closed again.
                with contextlib.suppress(RuntimeError):
                    cast("Coroutine[Any, Any, Any]", coroutine).close()
                    break
        self._made.clear()
        # The garbage collector cannot find circles of contexts through the callbacks waiting here.
        self._queue.clear()
        self._timers.clear()
        self.close()

    def _process_events(self, event_list: Any) -> None:
        """Do nothing: there is no I/O."""

    def _run_once(self) -> None:
        self._turns_left -= 1
        if self._turns_left < 0:
            raise OutOfTurns(f"no end in sight after {self._now:.0f} s of virtual time")
        ready, timers = self._queue, self._timers
        if not ready:
            while timers and timers[0][2].cancelled():
                heapq.heappop(timers)
            if not timers:
                raise Deadlock(f"nothing can happen any more after {self._now:.3f} s of virtual time")
            self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            ready.append(heapq.heappop(timers)[2])
        self._queue = []
        if len(ready) > 1:
            self._seeded.shuffle(ready)
        for handle in ready:
            if handle.cancelled():
                continue
            incarnation = handle._context.get(_INSIDE)  # noqa: SLF001 - asyncio tells it no other way
            if incarnation is None or incarnation.admits(handle):
                handle._run()  # noqa: SLF001


class Incarnation:
    """One life of one process on a `VirtualLoop`; all that it spawns, directly or indirectly, dies with it."""

    def __init__(self, loop: VirtualLoop, name: str) -> None:
        self.name = name
        self.alive = True
        self.died_at: float | None = None
        self.paused = False
        self.ended: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._context = contextvars.Context()
        self._context.run(_INSIDE.set, self)
        self._held: list[asyncio.Handle] = []

    def __repr__(self) -> str:
        return f"<Incarnation {self.name}>"

    def spawn(self, coroutine: Coroutine[Any, Any, Result]) -> "asyncio.Task[Result]":
        """Run a coroutine as part of this process."""
        return self._loop.create_task(coroutine, context=self._context.copy())

    def kill(self) -> None:
        """End the process at this instant: none of its code ever runs again, no `finally`, no callback."""
        if self.alive:
            self.alive = False
            self.died_at = self._loop.time()
        if not self.ended.done():
            self.ended.set_result(None)

    def pause(self, seconds: float) -> None:
        """Stop the process for a while, as a long garbage collection or a suspended machine would."""
        if self.alive and not self.paused:
            self.paused = True
            self._loop.call_later(seconds, self._wake, context=contextvars.Context())

    def admits(self, handle: asyncio.Handle) -> bool:
        """Tell whether a callback of this process may run now; while the process is paused, the callback is kept."""
        if self.alive and self.paused:
            self._held.append(handle)
            return False
        return self.alive

    def _wake(self) -> None:
        self.paused = False
        held, self._held = self._held, []
        self._loop.again(held)


def current_incarnation() -> Incarnation | None:
    """Return the process that the calling code belongs to; None outside of all processes."""
    return _INSIDE.get()


def outside() -> contextvars.Context:
    """Return a context outside of all processes, for what must go on when a process dies."""
    return contextvars.Context()
