"""How blocking calls are kept off the event loop: the port `Blocking` and its threads."""

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")


class Blocking(Protocol):
    """Run blocking calls somewhere else than on the event loop."""

    async def write(self, call: Callable[..., Result], *arguments: Any) -> Result:
        """Run a write to the store; writes of one process run one after the other."""
        ...

    async def read(self, call: Callable[..., Result], *arguments: Any) -> Result:
        """Run any other call to the store."""
        ...

    def handler(self, call: Callable[[], Result]) -> "asyncio.Future[Result]":
        """Run a handler that is a plain function."""
        ...

    def close(self) -> None:
        """End what was started for this."""
        ...


class Threads:
    """Run writes in one thread, reads in a few and handlers in their own: slow handlers never delay a commit."""

    def __init__(self, readers: int, handlers: int) -> None:
        self._writer = ThreadPoolExecutor(1, "sagalog-write")
        self._readers = ThreadPoolExecutor(readers, "sagalog-read")
        self._handlers = ThreadPoolExecutor(handlers, "sagalog-handler")

    async def write(self, call: Callable[..., Result], *arguments: Any) -> Result:
        """Run a write to the store in the writer thread."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, call, *arguments)

    async def read(self, call: Callable[..., Result], *arguments: Any) -> Result:
        """Run any other call to the store in a reader thread."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, call, *arguments)

    def handler(self, call: Callable[[], Result]) -> "asyncio.Future[Result]":
        """Run a handler in a thread that sees the caller's context variables."""
        context = contextvars.copy_context()
        return asyncio.get_running_loop().run_in_executor(self._handlers, functools.partial(context.run, call))

    def close(self) -> None:
        """Let every thread end after what it does now; a handler that never returns is not waited for."""
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self._handlers.shutdown(wait=False, cancel_futures=True)
