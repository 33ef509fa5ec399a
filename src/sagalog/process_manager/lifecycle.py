"""The lifecycle of a process manager: whether it may be called now and from here. It starts nothing."""

import asyncio
import threading
from typing import Literal

from msgspec import Struct

from sagalog.engine.blocking import Blocking
from sagalog.engine.reentry import is_inside
from sagalog.errors import AlreadyRunning, InvalidAction, NotRunning
from sagalog.process_manager.assembly import Engine
from sagalog.process_manager.ends import Ends

State = Literal["new", "opening", "open", "closing", "closed"]


class Opening(Struct, frozen=True, eq=False):
    """One opening of a process manager: its event loop, that loop's thread, its own threads, and how it is closed."""

    loop: asyncio.AbstractEventLoop
    thread: str
    blocking: Blocking
    ends: Ends


class Lifecycle:
    """The state of one process manager, and its engine while it is open."""

    def __init__(self) -> None:
        self.state: State = "new"
        # The present opening, or the last one.
        self._opening: Opening | None = None
        self._engine: Engine | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether it is open."""
        return self.state == "open"

    def engine(self) -> Engine:
        """Return the engine; raises `NotRunning` if it is not open or if this is not its event loop."""
        self.check_here()
        if self._engine is None:
            raise NotRunning(self._not_open())
        return self._engine

    def _not_open(self) -> str:
        if self.state == "new":
            return "the process manager is not open; use `async with manager:` or its lifespan"
        if self.state == "opening":
            return "the process manager is still being opened; ask it within `async with manager:`"
        return "the process manager was closed; use `async with manager:` to open it again"

    def begin(self, blocking: Blocking) -> Ends:
        """Begin an opening on the running event loop, with threads of its own; return its `Ends`."""
        self.state = "opening"
        loop, thread = asyncio.get_running_loop(), threading.current_thread().name
        self._opening = Opening(loop, thread, blocking, Ends(self._ended))
        return self._opening.ends

    def opened(self, engine: Engine) -> None:
        """Record that the process manager is open, with this engine."""
        self._engine = engine
        self.state = "open"

    def ending(self) -> None:
        """Record that the process manager is being closed; from now on calls are refused."""
        self._engine = None
        self.state = "closing"

    async def end(self) -> None:
        """Close the process manager, or wait until it is closed; raises the first error that closing meets.

        Raises `NotRunning` or `InvalidAction` if the caller may not close it; see `_check_begun`.
        """
        await self._check_begun().ends.reach()

    def _ended(self) -> None:
        self.state = "closed"

    def check_not_open(self) -> None:
        """Raise `AlreadyRunning` if it is not closed yet, and `NotRunning` if its event loop was closed before it."""
        if self._opening is None or self.state in ("new", "closed"):
            return
        self._check_loop(self._opening)
        if self.state == "closing":
            raise AlreadyRunning(
                "the process manager is being closed; await its end, `await manager.__aexit__(None, None, None)`, "
                "and open it again then"
            )
        raise AlreadyRunning(
            f"expected a process manager that is not open, found one that is {self.state} on the event loop of "
            f"thread {self._opening.thread}; open it once and share it, or build another one"
        )

    def check_here(self) -> None:
        """Raise `NotRunning` if it runs on another event loop than the caller."""
        opening, here = self._opening, running_loop()
        if opening is None or here is opening.loop or self.state == "closed":
            return
        self._check_loop(opening)
        found = "no event loop runs" if here is None else "another event loop runs"
        raise NotRunning(
            f"the process manager runs on the event loop of thread {opening.thread}, and {found} where it was called "
            f"(thread {threading.current_thread().name}); hand the call over: "
            "asyncio.run_coroutine_threadsafe(manager.start(...), loop).result(), where loop is what "
            "asyncio.get_running_loop() gives inside `async with manager:`"
        )

    def check_runs(self) -> None:
        """Raise `NotRunning` or `InvalidAction` if the caller may not call `run`, for the same reasons as for `end`."""
        self.check_here()
        self._check_outside("run")

    def _check_begun(self) -> Opening:
        """Return the opening that the caller may end.

        Raises `NotRunning` if there is none or this is not its event loop, and `InvalidAction` inside one of its own
        handlers, which would wait for itself.
        """
        if self._opening is None:
            raise NotRunning(self._not_open())
        self.check_here()
        self._check_outside("closed")
        return self._opening

    def _check_outside(self, what: str) -> None:
        if self._opening is None or self.state == "closed" or not is_inside(self._opening.blocking):
            return
        raise InvalidAction(
            f"the process manager cannot be {what} by one of its own handlers, or by what one has begun: it waits for "
            "its handlers when it is closed, and this one would wait for itself; let the handler tell whoever opened "
            "it, by an asyncio.Event that is awaited inside `async with manager:` for example"
        )

    def _check_loop(self, opening: Opening) -> None:
        """Raise `NotRunning` if its event loop was closed, so that it can no longer be closed itself."""
        if opening.loop.is_closed():
            raise NotRunning(
                "the process manager cannot be used any more, for its event loop was closed while it was open; build "
                "another one, which takes up what this one had once its lease is over, and use `async with manager:`, "
                "which closes it before its loop ends"
            )


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
