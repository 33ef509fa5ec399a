"""How blocking calls are kept off the event loop: the port `Blocking` and its implementation with threads."""

import asyncio
import contextvars
import functools
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, Protocol, TypeVar

from sagalog.engine.carrying import carrying
from sagalog.errors import NotRunning

Result = TypeVar("Result")

# Seconds that the event loop waits at most for a thread to begin.
LONGEST_WAIT = 0.005

CLOSED = "the process manager was closed; open it again with `async with manager:`"


class Blocking(Protocol):
    """Runs blocking calls, because they must not run on the event loop.

    The awaiting code gets whatever a call raises; exceptions that a future cannot pass on come as `Carried`. Once it is
    closed it raises `NotRunning`.
    """

    def write(self, call: Callable[..., Result], *arguments: Any) -> Awaitable[Result]:
        """Run a write to the store; writes of one process run one after the other."""
        ...

    def let_write(self) -> None:
        """Let the write that was just asked for begin, before the event loop goes on with what takes long.

        Python passes its global lock on to a thread that has waited for it for 5 ms in which nobody let go of it. The
        loop lets go now and then, for so short that the thread wakes too late. It would begin when the loop has nothing
        left to do, and the loop would then wait for it.
        """
        ...

    async def renew(self, call: Callable[..., Result], *arguments: Any) -> Result:
        """Run a write that keeps the lease of this process; it waits for no other call."""
        ...

    async def read(self, call: Callable[..., Result], *arguments: Any) -> Result:
        """Run any other call to the store."""
        ...

    def handler(self, call: Callable[[], Result]) -> "asyncio.Future[Result]":
        """Run a handler that is a plain function."""
        ...

    def close(self) -> None:
        """End all threads that were started for calls."""
        ...


class Threads:
    """One thread for writes, a few for reads, and others for handlers: slow handlers never delay a commit."""

    def __init__(self, readers: int, handlers: int) -> None:
        self._closed = False
        self._writer = WriterThread("sagalog-write")
        self._lease = WriterThread("sagalog-lease")
        self._readers = ThreadPoolExecutor(readers, "sagalog-read")
        self._handlers = ThreadPoolExecutor(handlers, "sagalog-handler")

    def write(self, call: Callable[..., Result], *arguments: Any) -> Awaitable[Result]:
        """Run a write to the store in the writer thread."""
        return self._writer.submit(functools.partial(call, *arguments))

    def let_write(self) -> None:
        """Wait until the writer thread has Python's global lock."""
        self._writer.let_begin()

    async def renew(self, call: Callable[..., Result], *arguments: Any) -> Result:
        """Run a write that keeps the lease, in a thread of its own."""
        return await self._lease.submit(functools.partial(call, *arguments))

    async def read(self, call: Callable[..., Result], *arguments: Any) -> Result:
        """Run any other call to the store in a reader thread."""
        carried: Callable[..., Result] = functools.partial(carrying, call, *arguments)
        return await self._run_in(self._readers, carried)

    def handler(self, call: Callable[[], Result]) -> "asyncio.Future[Result]":
        """Run a handler in a thread that sees the caller's context variables."""
        context = contextvars.copy_context()
        carried: Callable[..., Result] = functools.partial(carrying, context.run, call)
        return self._run_in(self._handlers, carried)

    def _run_in(self, threads: ThreadPoolExecutor, call: Callable[..., Result]) -> "asyncio.Future[Result]":
        if self._closed:
            raise NotRunning(CLOSED)
        return asyncio.get_running_loop().run_in_executor(threads, call)

    def close(self) -> None:
        """End each thread after its present call; do not wait for a handler that never returns."""
        self._closed = True
        self._writer.close()
        self._lease.close()
        self._readers.shutdown(wait=True)
        self._handlers.shutdown(wait=False, cancel_futures=True)


class WriterThread:
    """One thread that runs calls one after the other, and answers on the event loop that asked.

    A saga that runs alone waits for four such calls in a row. An executor needs twice as long to pass a call there and
    back, because it has a second future and locks around both.
    """

    def __init__(self, name: str) -> None:
        self._closed = False
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # Set from when a call begins until another one is queued.
        self._has_begun = Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, call: Callable[[], Result]) -> "asyncio.Future[Result]":
        """Queue a call; return a future of its result."""
        if self._closed:
            # The thread has ended, so the call would never be run.
            raise NotRunning(CLOSED)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def run() -> None:
            try:
                tell = functools.partial(future.set_result, carrying(call))
            except Exception as problem:
                tell = functools.partial(future.set_exception, problem)
            try:
                loop.call_soon_threadsafe(_unless_cancelled, future, tell)
            except RuntimeError:
                # The loop is closed, so nobody waits for the result any more.
                return

        self._has_begun.clear()
        self._calls.put(run)
        return future

    def let_begin(self) -> None:
        """Wait until the next call begins, but not for long."""
        self._has_begun.wait(LONGEST_WAIT)

    def close(self) -> None:
        """End the thread after the queued calls."""
        self._closed = True
        self._calls.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            self._has_begun.set()
            call()


def _unless_cancelled(future: "asyncio.Future[Any]", tell: Callable[[], None]) -> None:
    if not future.done():
        tell()
