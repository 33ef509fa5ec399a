"""Lines of JSON from a file or a pipe, numbered, one at a time; too long ones are dropped, never kept in memory."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import IO

from sagalog.cli.encoding import MARK, checked
from sagalog.errors import InvalidInput

LONGEST = 1024 * 1024
PREFETCHED = 1_000
STDIN = "the standard input"

Line = tuple[int, bytes | None]
"""A line's number (from 1) and its bytes; None instead of a line that is too long."""


def name_of(source: IO[bytes]) -> str:
    """Return the name of the source for messages."""
    name: object = getattr(source, "name", None)
    return name if isinstance(name, str) and name not in ("<stdin>", "-") else STDIN


def numbered(source: IO[bytes]) -> Iterator[Line]:
    """Yield the lines that are not blank; raises `InvalidInput` if the input is not UTF-8."""
    number = 0
    while line := source.readline(LONGEST + 1):
        number += 1
        # Concatenated files may have a byte order mark in the middle.
        line = checked(line, name_of(source)) if number == 1 else line.removeprefix(MARK)
        if len(line) > LONGEST:
            while line and not line.endswith(b"\n"):
                line = source.readline(LONGEST)
            yield number, None
        elif line.strip():
            yield number, line


async def prefetched(source: IO[bytes]) -> AsyncIterator[Line]:
    """Yield the same lines, read in a thread, so that a slow pipe does not block the event loop.

    It is a daemon thread: waiting for a pipe that nobody closes must not keep the process alive.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Line | BaseException | None] = asyncio.Queue()
    room = threading.Semaphore(PREFETCHED)

    def put(item: Line | BaseException | None) -> None:
        # The event loop may be closed, if the command ends before the pipe does.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def read() -> None:
        try:
            for line in numbered(source):
                room.acquire()
                put(line)
            put(None)
        except (OSError, ValueError, InvalidInput) as problem:
            put(problem)

    threading.Thread(target=read, name="sagalog-lines", daemon=True).start()
    while (item := await queue.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        room.release()
        yield item
