"""Reads for consumers in trouble, in tasks of their own, so that a slow read delays no other consumer."""

import asyncio
from collections.abc import Callable, Container

from sagalog.engine.bus.reading import Page, Reading
from sagalog.engine.surroundings import Surroundings


class ReadsBeside:
    """The reads under way, at most one for each consumer; `done` is called whenever one has ended."""

    def __init__(self, surroundings: Surroundings, reading: Reading, done: Callable[[], None]) -> None:
        self._reading = reading
        self._blocking = surroundings.blocking
        self._done = done
        self._tasks: dict[str, tuple[int, asyncio.Task[Page]]] = {}

    def take(self, name: str, after: int, limit: int) -> Page | None:
        """Return the messages above a position, starting the read if needed; None while it runs.

        Raises what the read raised.
        """
        known = self._tasks.get(name)
        if known is not None and known[1].done():
            del self._tasks[name]
            if known[0] == after and not known[1].cancelled():
                return known[1].result()
            # The consumer has moved since this read began, or foreign code cancelled it.
            if not known[1].cancelled():
                known[1].exception()
            known = None
        if known is None:
            task = asyncio.get_running_loop().create_task(self._read(name, after, limit))
            self._tasks[name] = after, task
        return None

    async def _read(self, name: str, after: int, limit: int) -> Page:
        try:
            return await self._blocking.read(self._reading.page, (name,), after, limit)
        finally:
            self._done()

    def keep(self, names: Container[str]) -> None:
        """Cancel the reads of all other consumers."""
        for name in [name for name in self._tasks if name not in names]:
            task = self._tasks.pop(name)[1]
            if not task.cancel() and not task.cancelled():
                # Nobody wants the result any more; this keeps asyncio from reporting an error that was never fetched.
                task.exception()
