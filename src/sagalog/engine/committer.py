"""Group commit: one loop writes all decisions of a process, as many in one transaction as have come in meanwhile.

It never gives up an append whose fate is unknown: it appends the same again until the store answers, because the store
recognises what had landed. Only closing ends that.
"""

import asyncio
import logging
from collections import deque

from sagalog.engine.blocking import Blocking
from sagalog.errors import StoreError, StoreUnavailable
from sagalog.store import Append, AppendOutcome, Store

logger = logging.getLogger("sagalog.engine")

LARGEST_BATCH = 1000
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0

Waiting = tuple[Append, "asyncio.Future[AppendOutcome]"]


class Committer:
    """Append decisions in batches and answer each once it is durable."""

    def __init__(self, store: Store, blocking: Blocking) -> None:
        self._store = store
        self._blocking = blocking
        self._queue: deque[Waiting] = deque()
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.trouble: StoreError | None = None
        self.commits = 0

    def start(self) -> None:
        """Begin to write."""
        self._task = self._loop.create_task(self._run(), name="sagalog-committer")

    def submit(self, append: Append) -> "asyncio.Future[AppendOutcome]":
        """Queue an append; the future has its outcome once the transaction is durable."""
        future: asyncio.Future[AppendOutcome] = self._loop.create_future()
        self._queue.append((append, future))
        self._wake.set()
        return future

    async def close(self) -> None:
        """Write what is queued, if the store answers, and end; what is left gets `StoreUnavailable`."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
        for _, future in self._queue:
            if not future.done():
                future.set_exception(
                    StoreUnavailable("the process manager was closed before this was written")
                )
        self._queue.clear()

    async def _run(self) -> None:
        while True:
            if not self._queue:
                if self._closing:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            batch = [self._queue.popleft() for _ in range(min(LARGEST_BATCH, len(self._queue)))]
            await self._write(batch)

    async def _write(self, batch: list[Waiting]) -> None:
        appends = [append for append, _ in batch]
        pause = FIRST_PAUSE
        while True:
            try:
                outcomes = await self._blocking.write(self._store.append, appends)
            except StoreUnavailable as problem:
                if self.trouble is None:
                    logger.warning("the store cannot be written for now, trying again: %s", problem)
                self.trouble = problem
                if self._closing:
                    self._fail(batch, problem)
                    return
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            except Exception as problem:
                if len(batch) > 1:
                    # One append that cannot be written must not take the others with it.
                    middle = len(batch) // 2
                    await self._write(batch[:middle])
                    await self._write(batch[middle:])
                    return
                logger.exception("the decision of saga %s could not be written", appends[0].saga_id)
                self._fail(batch, problem)
                return
            else:
                break
        if self.trouble is not None:
            logger.warning("the store can be written again")
            self.trouble = None
        self.commits += 1
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)

    @staticmethod
    def _fail(batch: list[Waiting], problem: Exception) -> None:
        for _, future in batch:
            if not future.done():
                future.set_exception(problem)
