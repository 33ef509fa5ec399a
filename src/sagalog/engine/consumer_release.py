"""Giving back consumers while a process stops, each as soon as nothing runs for it here. It reads no message.

Stopping may take long. Without this, no process would route or handle their messages meanwhile.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

from sagalog.engine.backoff import Backoff, Pauses
from sagalog.engine.loops import Loop
from sagalog.engine.surroundings import Surroundings
from sagalog.saga.failure import described

logger = logging.getLogger("sagalog.engine")

PAUSES = Pauses(0.05, 5.0)


class ConsumerRelease:
    """Consumers that are being given back; `worker_id` says under which name they are owned.

    Earlier writes for them come first, since the store executes writes in the order in which they were submitted.
    """

    def __init__(self, surroundings: Surroundings, worker_id: Callable[[], str]) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._worker_id = worker_id
        self._waiting: set[str] = set()
        self._wanted = asyncio.Event()
        self._loop: Loop | None = None

    def add(self, consumers: Iterable[str]) -> None:
        """Give these consumers back now; nothing in this process may read for them any more."""
        self._waiting.update(consumers)
        self._wanted.set()
        if self._waiting and self._loop is None:
            self._loop = Loop(self._run, "sagalog-leave", self._wanted.set)

    async def stop(self) -> None:
        """Stop trying; the caller gives back all that is left."""
        if self._loop is not None:
            await self._loop.stop()

    async def _run(self) -> None:
        """Give back consumers until this is stopped; retry what failed."""
        backoff = Backoff(PAUSES)
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while some := sorted(self._waiting):
                try:
                    await self._blocking.write(self._store.release_consumers, self._worker_id(), some)
                    self._waiting.difference_update(some)
                    backoff.reset()
                except Exception as problem:
                    if not backoff.has_begun:
                        logger.warning("%s could not be given back yet: %s", ", ".join(some), described(problem))
                    await asyncio.sleep(backoff.pause())
