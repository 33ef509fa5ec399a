"""Group commit: one loop writes all decisions of a process, as many in one transaction as have come in meanwhile.

It never gives up what it was given and whose fate is unknown: it writes the same again until the store answers, because
the store recognises what had landed. Only closing ends that, and a write that the database refuses while it takes
others: that is found out by writing it alone, several times. Postings (messages, and what became of those that a
participant took) go the same way as the appends of sagas, in a transaction of their own.

What nobody waits for goes along with what somebody waits for: a thousand sagas that are tried in vain again and again
would else take a transaction each from those that get on.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from sagalog.engine.backoff import Backoff
from sagalog.engine.batch_size import BatchSize
from sagalog.engine.blocking import Blocking
from sagalog.errors import BatchTooLarge, StoreError, StoreUnavailable, WriteRefused
from sagalog.saga.failure import described
from sagalog.store import Append, AppendOutcome, Posting, PostOutcome, Store

logger = logging.getLogger("sagalog.engine")

# Half of a thousand sagas that run at once: one half is written while the other decides. The SQLite store writes so
# many rows in one statement.
LARGEST_BATCH = 500
# What a slow link carries well within a statement's time, and far more than a batch has of small events.
LARGEST_BYTES = 4 * 1024 * 1024
# The size of an append or a posting without its payloads, roughly.
BYTES_OF_A_WRITE = 600
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
# How often what the database refuses is written alone before it is believed, and the longest pause between.
TRIES = 4
LONGEST_PAUSE_ALONE = 10.0
# How long what is not urgent waits for something that is, in seconds.
LINGER = 0.05

# Told once whether something was written; None if nobody knows.
Then = Callable[[bool | None], None]
# What is to be written, the future of its outcome, and whom to tell.
Waiting = tuple[Any, "asyncio.Future[Any]", Then | None]
Write = Callable[[Sequence[Any]], Sequence[str]]


class Suspect(Struct):
    """A write that failed and is tried again alone, so that it holds up no other."""

    waiting: Waiting
    write: Write
    backoff: Backoff
    tries: int = 0


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
        # Those of callers who do not wait for ever: what is large and slow goes on beside them, not before them.
        self._urgent: deque[Waiting] = deque()
        self._postings: deque[Waiting] = deque()
        self._unhurried: deque[Waiting] = deque()
        self._alone: deque[Suspect] = deque()
        self._suspects: list[Suspect] = []
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
        self._size = BatchSize(LARGEST_BYTES)
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

    def submit(self, append: Append, patient: bool = True, then: Then | None = None) -> "asyncio.Future[AppendOutcome]":
        """Queue an append; the future has its outcome once the transaction is durable.

        Whoever is not `patient` gets the store's error after `write_timeout`, while the append is still tried. `then`
        is told once whether it was written, also when nobody waits for the future any more. The future has
        `WriteRefused` if the database takes others and not this one.
        """
        future: asyncio.Future[AppendOutcome] = self._loop.create_future()
        self._enqueue(self._queue if patient else self._urgent, append, future, patient, then)
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
            self._queue.extend(self._unhurried)
            self._unhurried.clear()
            self._wake.set()

    def post(self, posting: Posting, patient: bool = True, then: Then | None = None) -> "asyncio.Future[PostOutcome]":
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
        then: Then | None,
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
        for queue in (self._queue, self._urgent, self._unhurried, self._postings):
            self._fail(list(queue), closed)
            queue.clear()

    async def _run(self) -> None:
        while True:
            if self._closing:
                # Nobody waits for the end of a pause any more: each has one more chance, now.
                self._alone.extend(self._suspects)
                self._suspects.clear()
            if not (self._queue or self._urgent or self._postings or self._alone):
                if self._closing:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            if self._queue or self._urgent:
                self._hurry()
                await self._write(self._batch(self._urgent, self._queue), self._store.append)
            if self._postings:
                await self._write(self._batch(self._postings), self._store.post)
            for _ in range(len(self._alone)):
                await self._write_alone(self._alone.popleft())

    def _batch(self, *queues: deque[Waiting]) -> list[Waiting]:
        """Take what is written together, from all queues in turn: not too many, and not too much."""
        batch: list[Waiting] = []
        room = self._size.now
        for queue in _in_turn(queues):
            room -= _size_of(queue[0][0])
            if batch and (room < 0 or len(batch) == LARGEST_BATCH):
                break
            batch.append(queue.popleft())
        return batch

    async def _write(self, batch: list[Waiting], write: Write) -> None:
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                outcomes = await self._blocking.write(write, [one for one, _, _ in batch])
                if len(outcomes) != len(batch):
                    raise ValueError(f"expected an outcome for each of {len(batch)} writes, found {len(outcomes)}")
            except StoreUnavailable as problem:
                self._is_in_trouble(problem)
                if self._closing:
                    self._fail(batch, problem)
                    return
                if isinstance(problem, BatchTooLarge):
                    self._size.too_large(sum(_size_of(one) for one, _, _ in batch))
                    await self._write_apart(batch, write, problem)
                    return
                await asyncio.sleep(backoff.pause())
            except Exception as problem:
                await self._write_apart(batch, write, problem)
                return
            else:
                self._size.passed()
                self._settle(batch, outcomes)
                return

    async def _write_apart(self, batch: list[Waiting], write: Write, problem: Exception) -> None:
        """Write a batch in halves, down to what cannot be written at all: it must not take the others with it."""
        if len(batch) == 1:
            self._try_alone(Suspect(batch[0], write, Backoff(FIRST_PAUSE, LONGEST_PAUSE_ALONE)), problem)
            return
        middle = len(batch) // 2
        await self._write(batch[:middle], write)
        await self._write(batch[middle:], write)

    async def _write_alone(self, suspect: Suspect) -> None:
        try:
            [outcome] = await self._blocking.write(suspect.write, [suspect.waiting[0]])
        except Exception as problem:
            self._try_alone(suspect, problem)
        else:
            self._settle([suspect.waiting], [outcome])

    def _try_alone(self, suspect: Suspect, problem: Exception) -> None:
        """Write something alone once more after a pause, unless the database has refused it often enough.

        What stands in its way may be gone by then: a trigger, a constraint, a table that was being changed. An error of
        the whole database is waited out for as long as it takes.
        """
        refused = not isinstance(problem, StoreError) or isinstance(problem, WriteRefused)
        suspect.tries += refused
        if self._closing or suspect.tries >= TRIES:
            what = _name_of(suspect.waiting[0])
            if not isinstance(problem, StoreError):
                logger.error("%s could not be written", what, exc_info=problem)
                problem = WriteRefused(f"{what} could not be written: {described(problem)}")
            self._fail([suspect.waiting], problem)
            return
        if suspect.tries <= 1 and not suspect.backoff.has_begun:
            logger.warning(
                "%s is not written yet, trying again alone: %s", _name_of(suspect.waiting[0]), described(problem)
            )
        self._suspects.append(suspect)
        self._loop.call_later(suspect.backoff.pause(), self._end_pause, suspect)

    def _end_pause(self, suspect: Suspect) -> None:
        if suspect in self._suspects:
            self._suspects.remove(suspect)
            self._alone.append(suspect)
            self._wake.set()

    def _is_in_trouble(self, problem: StoreError) -> None:
        if self.trouble is None:
            logger.warning("the store cannot be written for now, trying again: %s", problem)
        self.trouble = problem

    def _settle(self, batch: list[Waiting], outcomes: Sequence[str]) -> None:
        if self.trouble is not None:
            logger.warning("the store can be written again")
            self.trouble = None
        self.commits += 1
        for (_, future, then), outcome in zip(batch, outcomes, strict=True):
            if then is not None:
                _tell(then, outcome == "written")
            if not future.done():
                future.set_result(outcome)
        writes = [one for one, _, _ in batch]
        if any(one.messages for one in writes):
            self._posted()
        if any(isinstance(one, Append) and one.notes for one in writes):
            self.noted()

    @staticmethod
    def _fail(batch: list[Waiting], problem: Exception) -> None:
        for _, future, then in batch:
            if then is not None:
                _tell(then, None)
            if not future.done():
                future.set_exception(problem)


def _tell(then: Then, written: bool | None) -> None:
    try:
        then(written)
    except Exception:
        # What follows from one write must not end the writing of all others.
        logger.exception("what follows from a write could not be done")


def _in_turn(queues: Sequence[deque[Waiting]]) -> Iterator[deque[Waiting]]:
    """Yield the queues that hold something, one after the other, until whoever asks has enough."""
    while True:
        held = [queue for queue in queues if queue]
        if not held:
            return
        yield from held


def _size_of(write: Append | Posting) -> int:
    """Return roughly how many bytes a write is; a result is in an event, and in the row of its step once more."""
    if isinstance(write, Append):
        return BYTES_OF_A_WRITE + 2 * sum(len(state) for _, state in write.events)
    return BYTES_OF_A_WRITE + sum(len(one.data) for one in write.messages)


def _name_of(write: Append | Posting) -> str:
    return f"the decision of saga {write.saga_id}" if isinstance(write, Append) else "a posting"
