"""Whether a process manager runs, on which event loop, and who else has its store open. It opens nothing by itself."""

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Literal
from weakref import WeakKeyDictionary

from sagalog import opening
from sagalog.engine.blocking import Blocking
from sagalog.engine.inside import is_inside
from sagalog.engine.loops import Loop
from sagalog.errors import AlreadyRunning, InvalidAction, NotRunning
from sagalog.saga.failure import described
from sagalog.store import Store

logger = logging.getLogger("sagalog.engine")

# What is being ended and was cancelled by somebody who cancels every task is ended anew, after so many seconds, as
# often as that happens; a bound only for who would never come to an end of it.
PAUSE = 0.05
MOST_TIMES = 1000

State = Literal["new", "opening", "open", "closing", "closed"]


class Lifecycle:
    """Say what may be asked of a process manager now, and by whom."""

    def __init__(self) -> None:
        self.state: State = "new"
        # Those of the handlers that run in it.
        self.threads: Blocking | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = ""

    def begin(self) -> None:
        """Begin to open on the loop that runs here; raises `AlreadyRunning` unless it is closed."""
        if self.state not in ("new", "closed"):
            self._check_loop()
            if self.state == "closing":
                raise AlreadyRunning(
                    "the process manager is being closed; await its end, `await manager.__aexit__(None, None, None)`, "
                    "and open it again then"
                )
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
        """Raise `NotRunning` if it was never open, or this is not its event loop: nothing can be closed then.

        Raises `InvalidAction` in a handler of its own, which would wait for itself.
        """
        if self.state == "new":
            self.check_open()
        self.check_here()
        self._check_outside("closed")

    def check_runs(self) -> None:
        """Raise what keeps it from being run until a signal comes, as `check_begun` does."""
        self.check_here()
        self._check_outside("run")

    def _check_outside(self, what: str) -> None:
        if self.state in ("new", "closed") or self.threads is None or not is_inside(self.threads):
            return
        raise InvalidAction(
            f"the process manager cannot be {what} by one of its own handlers, or by what one has begun: it waits for "
            "its handlers when it is closed, and this one would wait for itself; let the handler tell whoever opened "
            "it, by an asyncio.Event that is awaited inside `async with manager:` for example"
        )

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

    def __init__(self, last: Callable[[], None]) -> None:
        self._calls: list[Callable[[], Any]] = [last]
        self._loop = asyncio.get_running_loop()
        self._ending: Loop | None = None
        self._since = 0.0
        self._reached: asyncio.Future[None] = self._loop.create_future()
        # How many wait for the end, and the first error, of which they are told.
        self._waiting = 0
        self._problem: BaseException | None = None

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

        That goes on in a task of its own, also when whoever waits for it is cancelled. Whoever comes second waits for
        the same: what is ended later stands on what is ended before it.
        """
        if self._reached.done():
            return
        if self._ending is None:
            self._since = self._loop.time()
            self._ending = Loop(self._reach, "sagalog-close")
        self._waiting += 1
        try:
            await asyncio.wait((self._reached,))
        finally:
            self._waiting -= 1
        if self._problem is not None:
            raise self._problem

    def left(self, seconds: float) -> float:
        """Return what is left of so many seconds since all began to be ended."""
        return max(0.0, self._since + seconds - self._loop.time())

    async def _reach(self) -> None:
        while self._calls:
            try:
                await self._end(self._calls.pop())
            except GeneratorExit:
                raise
            except BaseException as problem:
                self._problem = self._problem or problem
        if self._problem is not None and not self._waiting:
            text = "the process manager was closed, and not without trouble: %s"
            logger.error(text, described(self._problem), exc_info=self._problem)
        self._reached.set_result(None)

    async def _end(self, call: Callable[[], Any]) -> None:
        """End one thing, in a task of its own: whoever cancels every task must not leave it half ended."""
        for _ in range(MOST_TIMES):
            task = asyncio.create_task(_called(call))
            await _is_over(task)
            if not task.cancelled() or not task.cancelling():
                task.result()
                return
            await _is_over(asyncio.ensure_future(asyncio.sleep(PAUSE)))
        raise TimeoutError(f"{call!r} was cancelled {MOST_TIMES} times by code that is not sagalog's, and is given up")


async def _called(call: Callable[[], Any]) -> None:
    ending = call()
    if inspect.isawaitable(ending):
        await ending


async def _is_over(future: "asyncio.Future[Any]") -> None:
    """Wait for something to its end, whoever cancels whoever waits, and be it the end of the event loop."""
    while not future.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait((future,))


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class _Use:
    """How many have one store open; whoever holds the lock may open or close it."""

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
