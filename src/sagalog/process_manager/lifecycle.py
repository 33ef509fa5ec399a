"""The states of a process manager: whether it may be called now, and by whom. It begins nothing."""

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
    """One opening of a process manager: its event loop, the thread of that loop, its own threads, and how it ends."""

    loop: asyncio.AbstractEventLoop
    thread: str
    blocking: Blocking
    ends: Ends


class Lifecycle:
    """The states that one process manager goes through, and its engine while it is open."""

    def __init__(self) -> None:
        self.state: State = "new"
        # The one that is open, or was open last.
        self._opening: Opening | None = None
        self._engine: Engine | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether it may be called, on its event loop."""
        return self.state == "open"

    def engine(self) -> Engine:
        """Return the engine; raises `NotRunning`, which says what to do, unless it is open and this is its loop."""
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
        """Begin to open on the running event loop, with threads of its own; return the `Ends` of this opening."""
        self.state = "opening"
        loop, thread = asyncio.get_running_loop(), threading.current_thread().name
        self._opening = Opening(loop, thread, blocking, Ends(self._ended))
        return self._opening.ends

    def opened(self, engine: Engine) -> None:
        """Make this engine available."""
        self._engine = engine
        self.state = "open"

    def ending(self) -> None:
        """Make the engine unavailable."""
        self._engine = None
        self.state = "closing"

    async def end(self) -> None:
        """End what was begun, or wait until it has ended; raises the first error of that.

        Raises `NotRunning` and `InvalidAction` if the caller may not end it; see `_check_begun`.
        """
        await self._check_begun().ends.reach()

    def _ended(self) -> None:
        self.state = "closed"

    def check_not_open(self) -> None:
        """Raise `AlreadyRunning` unless it may be opened; `NotRunning` if it can be neither opened nor closed again."""
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
        """Raise `NotRunning` if it runs on another event loop."""
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
        """Raise what keeps it from being run until a signal comes, as `end` does."""
        self.check_here()
        self._check_outside("run")

    def _check_begun(self) -> Opening:
        """Return the opening that may be ended; raises `NotRunning` if it was never open, or this is not its loop.

        Raises `InvalidAction` in a handler of this process manager, which would wait for itself.
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
        """Raise `NotRunning` if its event loop is closed, so that it cannot be closed any more."""
        if opening.loop.is_closed():
            raise NotRunning(
                "the process manager cannot be used any more, for its event loop was closed while it was open; build "
                "another one, which takes up what this one had once its lease is over, and use `async with manager:`, "
                "which closes it before its loop ends"
            )


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
