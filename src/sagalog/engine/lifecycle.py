"""Whether a process manager runs, on which event loop, and who else has its store open. It opens nothing by itself."""

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Literal
from weakref import WeakKeyDictionary

from sagalog import opening
from sagalog.engine.blocking import Blocking
from sagalog.errors import AlreadyRunning, NotRunning
from sagalog.store import Store

State = Literal["new", "opening", "open", "closing", "closed"]


class Lifecycle:
    """Say what may be asked of a process manager now, and by whom."""

    def __init__(self) -> None:
        self.state: State = "new"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = ""

    def begin(self) -> None:
        """Begin to open on the loop that runs here; raises `AlreadyRunning` unless it is closed."""
        if self.state not in ("new", "closed"):
            self._check_loop()
            raise AlreadyRunning(
                f"expected a process manager that is not open, found one that is {self.state} on the event loop of "
                f"thread {self._thread}; open it once and share it, or build another one"
            )
        self.state = "opening"
        self._loop = asyncio.get_running_loop()
        self._thread = threading.current_thread().name

    def opened(self) -> None:
        """Let it be asked."""
        self.state = "open"

    def ending(self) -> None:
        """Let it be asked no more."""
        self.state = "closing"

    def ended(self) -> None:
        """Let it be opened again."""
        self.state = "closed"

    def check_open(self) -> None:
        """Raise `NotRunning` unless it is open and this is its event loop; says what to do instead."""
        self.check_here()
        if self.state != "open":
            raise NotRunning(
                {
                    "new": "the process manager is not open; use `async with manager:` or its lifespan",
                    "opening": "the process manager is still being opened; ask it within `async with manager:`",
                }.get(self.state, "the process manager was closed; use `async with manager:` to open it again")
            )

    def check_begun(self) -> None:
        """Raise `NotRunning` if it was never open, or this is not its event loop: nothing can be closed then."""
        if self.state == "new":
            self.check_open()
        self.check_here()

    def _check_loop(self) -> None:
        """Raise `NotRunning` if the event loop it runs on is gone, so that nobody can close it any more."""
        if self._loop is not None and self._loop.is_closed():
            raise NotRunning(
                "the process manager cannot be used any more, for its event loop was closed while it was open; build "
                "another one, which takes up what this one had once its lease is over, and use `async with manager:`, "
                "which closes it before its loop ends"
            )

    def check_here(self) -> None:
        """Raise `NotRunning` if it runs, and this is not its event loop."""
        here = running_loop()
        if here is self._loop or self.state in ("new", "closed"):
            return
        self._check_loop()
        found = "no event loop runs" if here is None else "another event loop runs"
        raise NotRunning(
            f"the process manager runs on the event loop of thread {self._thread}, and {found} where it was called "
            f"(thread {threading.current_thread().name}); hand the call over: "
            "asyncio.run_coroutine_threadsafe(manager.start(...), loop).result(), where loop is what "
            "asyncio.get_running_loop() gives inside `async with manager:`"
        )


class Ends:
    """How what was begun is ended: what was begun last, first."""

    def __init__(self) -> None:
        self._calls: list[Callable[[], Any]] = []
        self._turn = asyncio.Lock()

    def add(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Call this, and await what it returns if that can be awaited, before what was added until now."""
        self._calls.append(partial(call, *arguments))

    async def begin(self, opening: Coroutine[Any, Any, None]) -> None:
        """Await what begins, and end what it had begun by then if it raises."""
        try:
            await opening
        except GeneratorExit:
            # The loop was given up with all that is on it, so nothing can be waited for.
            raise
        except BaseException:
            await self.reach()
            raise

    async def reach(self) -> None:
        """End all; raises the first error, after everything else has been ended too.

        Whoever comes second waits for the first: what is ended later stands on what is ended before it.
        """
        async with self._turn:
            await self._reach()

    async def _reach(self) -> None:
        first: BaseException | None = None
        while self._calls:
            try:
                ending: Any = self._calls.pop()()
                if inspect.isawaitable(ending):
                    await ending
            except GeneratorExit:
                raise
            except BaseException as problem:
                first = first or problem
        if first is not None:
            raise first


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class _Use:
    """How many process managers have one store open; whoever holds the lock may open or close it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.number = 0


_uses: WeakKeyDictionary[Store, _Use] = WeakKeyDictionary()
_finding = threading.Lock()


def _use_of(store: Store) -> _Use:
    with _finding:
        return _uses.setdefault(store, _Use())


class StoreUse:
    """One process manager's use of a store that others of this process may have open as well."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._is_open = False

    async def begin(self, blocking: Blocking) -> None:
        """Open the store; whoever is cancelled meanwhile need not wait for what the opening waits for."""
        given_up = threading.Event()
        try:
            await blocking.write(self._open, given_up.is_set)
        finally:
            given_up.set()

    def _open(self, given_up: Callable[[], bool]) -> None:
        use = _use_of(self._store)
        with opening.unless(given_up):
            while not use.lock.acquire(timeout=opening.LOOK_AGAIN_SECONDS):
                opening.check_wanted()
            try:
                opening.check_wanted()
                self._store.open()
                use.number += 1
                self._is_open = True
            except BaseException:
                if not use.number:
                    self._store.close()
                raise
            finally:
                use.lock.release()

    def close(self) -> None:
        """Close the store, unless it was not opened here, or somebody else of this process still has it open."""
        if not self._is_open:
            return
        use = _use_of(self._store)
        with use.lock:
            self._is_open = False
            use.number -= 1
            if not use.number:
                self._store.close()
