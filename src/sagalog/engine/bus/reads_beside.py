"""Reads for consumers in trouble, beside the routing of the others: a read that takes its time holds up nobody else."""

import asyncio
from collections.abc import Callable, Container

from sagalog.engine.surroundings import Surroundings
from sagalog.messages import Envelope

Read = list[tuple[int, Envelope]]


class ReadsBeside:
    """At most one read at a time for each consumer; `done` is called whenever one has ended."""

    def __init__(self, surroundings: Surroundings, done: Callable[[], None]) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._done = done
        self._tasks: dict[str, tuple[int, asyncio.Task[Read]]] = {}

    def take(self, name: str, after: int, limit: int) -> Read | None:
        """Return the messages above a position, or raise what the read raised; None if they are being read."""
        known = self._tasks.get(name)
        if known is not None and known[1].done():
            del self._tasks[name]
            if known[0] == after and not known[1].cancelled():
                return known[1].result()
            # It was read for where the consumer is no more, or cancelled by code that is not ours.
            if not known[1].cancelled():
                known[1].exception()
            known = None
        if known is None:
            task = asyncio.get_running_loop().create_task(self._read(after, limit))
            self._tasks[name] = after, task
        return None

    async def _read(self, after: int, limit: int) -> Read:
        try:
            return await self._blocking.read(self._store.read_messages, after, limit)
        finally:
            self._done()

    def keep(self, names: Container[str]) -> None:
        """Give up the reads for all but these."""
        for name in [name for name in self._tasks if name not in names]:
            task = self._tasks.pop(name)[1]
            if not task.cancel() and not task.cancelled():
                # Nobody will ask for it: that is no error that was overlooked.
                task.exception()
