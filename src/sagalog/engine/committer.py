"""Group commit: one loop writes all decisions of a process, as many in one transaction as have come in meanwhile.

It never gives up what it was given and whose fate is unknown: it writes the same again until the store answers, because
the store recognises what had landed. Only closing ends that. Postings (messages, and what became of those that a
participant took) go the same way as the appends of sagas, in a transaction of their own.

What nobody waits for goes along with what somebody waits for: a thousand sagas that are tried in vain again and again
would else take a transaction each from those that get on.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from sagalog.engine.blocking import Blocking
from sagalog.errors import StoreError, StoreUnavailable
from sagalog.store import Append, AppendOutcome, Posting, PostOutcome, Store

logger = logging.getLogger("sagalog.engine")

# Half of a thousand sagas that run at once: one half is written while the other decides. The SQLite store writes so
# many rows in one statement.
LARGEST_BATCH = 500
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
# How long what is not urgent waits for something that is, in seconds.
LINGER = 0.05

# What is to be written, the future of its outcome, and whom to tell once whether it was written.
Waiting = tuple[Any, "asyncio.Future[Any]", Callable[[bool], None] | None]
Write = Callable[[Sequence[Any]], Sequence[str]]


class Committer:
    """Append decisions and post messages in batches, and answer each once it is durable.

    `posted` is told when messages have become durable: somebody may be waiting to route them. `noted` is told of notes
    from one saga to another.
    """

    def __init__(
        self,
        store: Store,
        blocking: Blocking,
        write_timeout: float,
        posted: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._blocking = blocking
        self._queue: deque[Waiting] = deque()
        self._postings: deque[Waiting] = deque()
        self._unhurried: deque[Waiting] = deque()
        self._lingering: asyncio.TimerHandle | None = None
        self._posted = posted
        self.noted: Callable[[], None] = lambda: None
        self._write_timeout = write_timeout
        self._impatient: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.trouble: StoreError | None = None
        self.commits = 0

    def start(self) -> None:
        """Begin to write."""
        self._task = self._loop.create_task(self._run(), name="sagalog-committer")
        self._look_at_the_impatient()

    def _look_at_the_impatient(self) -> None:
        """Tell those who have waited too long that nobody knows; one timer for all of them, not one for each."""
        now = self._loop.time()
        while self._impatient and (self._impatient[0][1].done() or self._impatient[0][0] <= now):
            _, future = self._impatient.popleft()
            if not future.done():
                kind = StoreUnavailable if self.trouble is None else type(self.trouble)
                future.set_exception(
                    kind(
                        f"nobody knows yet whether this was written, after {self._write_timeout:g} s "
                        f"({self.trouble or 'the store is slow'}); trying again with the same key is safe"
                    )
                )
        pause = min(1.0, self._write_timeout / 4)
        self._watch = self._loop.call_later(pause, self._look_at_the_impatient)

    def submit(
        self, append: Append, patient: bool = True, then: Callable[[bool], None] | None = None
    ) -> "asyncio.Future[AppendOutcome]":
        """Queue an append; the future has its outcome once the transaction is durable.

        Whoever is not `patient` gets the store's error after `write_timeout`, while the append is still tried. `then`
        is told once whether it was written, also when nobody waits for the future any more.
        """
        future: asyncio.Future[AppendOutcome] = self._loop.create_future()
        self._enqueue(self._queue, append, future, patient, then)
        return future

    def submit_unhurried(self, append: Append) -> "asyncio.Future[AppendOutcome]":
        """Queue an append that nobody waits for: it goes with the next that is submitted, or after `LINGER`."""
        future: asyncio.Future[AppendOutcome] = self._loop.create_future()
        self._unhurried.append((append, future, None))
        if self._lingering is None:
            self._lingering = self._loop.call_later(LINGER, self._hurry)
        return future

    def _hurry(self) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if self._unhurried:
            self._queue += self._unhurried
            self._unhurried.clear()
            self._wake.set()

    def post(
        self, posting: Posting, patient: bool = True, then: Callable[[bool], None] | None = None
    ) -> "asyncio.Future[PostOutcome]":
        """Queue a posting; see `submit`."""
        future: asyncio.Future[PostOutcome] = self._loop.create_future()
        self._enqueue(self._postings, posting, future, patient, then)
        return future

    def _enqueue(
        self,
        queue: deque[Waiting],
        write: Any,
        future: "asyncio.Future[Any]",
        patient: bool,
        then: Callable[[bool], None] | None,
    ) -> None:
        queue.append((write, future, then))
        if not patient:
            self._impatient.append((self._loop.time() + self._write_timeout, future))
        if not self._wake.is_set():
            self._wake.set()

    async def close(self) -> None:
        """Write what is queued, if the store answers, and end; what is left gets `StoreUnavailable`."""
        self._closing = True
        self._hurry()
        self._wake.set()
        if self._task is not None:
            await self._task
        if self._watch is not None:
            self._watch.cancel()
        closed = StoreUnavailable("the process manager was closed before this was written")
        for queue in (self._queue, self._unhurried, self._postings):
            self._fail(list(queue), closed)
            queue.clear()

    async def _run(self) -> None:
        while True:
            if not self._queue and not self._postings:
                if self._closing:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            if self._queue:
                self._hurry()
                await self._write(self._batch(self._queue), self._store.append)
            if self._postings:
                await self._write(self._batch(self._postings), self._store.post)

    @staticmethod
    def _batch(queue: deque[Waiting]) -> list[Waiting]:
        return [queue.popleft() for _ in range(min(LARGEST_BATCH, len(queue)))]

    async def _write(self, batch: list[Waiting], write: Write) -> None:
        writes = [one for one, _, _ in batch]
        pause = FIRST_PAUSE
        outcomes: Sequence[str] | None = None
        while outcomes is None:
            try:
                outcomes = await self._blocking.write(write, writes)
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
                    await self._write(batch[:middle], write)
                    await self._write(batch[middle:], write)
                    return
                what = f"the decision of saga {one.saga_id}" if isinstance(one := writes[0], Append) else "a posting"
                logger.exception("%s could not be written", what)
                self._fail(batch, problem)
                return
        if self.trouble is not None:
            logger.warning("the store can be written again")
            self.trouble = None
        self.commits += 1
        for (_, future, then), outcome in zip(batch, outcomes, strict=True):
            if then is not None:
                then(outcome == "written")
            if not future.done():
                future.set_result(outcome)
        self._announce(writes)

    def _announce(self, writes: list[Any]) -> None:
        if any(one.messages for one in writes):
            self._posted()
        if any(isinstance(one, Append) and one.notes for one in writes):
            self.noted()

    @staticmethod
    def _fail(batch: list[Waiting], problem: Exception) -> None:
        for _, future, then in batch:
            if then is not None:
                then(False)
            if not future.done():
                future.set_exception(problem)
