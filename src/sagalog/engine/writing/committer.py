"""Group commit: one loop writes all decisions of a process. What comes in during one transaction goes into the next.

A write whose outcome is unknown is never given up. It is written again until the store answers, since the store
recognises what was written before. That ends only when the committer is closed, or when the database refuses the write
while it takes others, which is found out by writing it alone several times (`failed_writes`). Failed and new writes
take turns. Postings (messages, and outcomes of those that a participant took) go the same way, in transactions of
their own.

A write that nobody waits for goes along with one that somebody waits for. Otherwise a thousand sagas that fail again
and again would take a transaction each from those that get on.

If other code cancels its loop, it is begun anew with what it had in hand.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from sagalog.engine.backoff import SHARE, Backoff, Pauses, is_worth_saying
from sagalog.engine.batch_size import BatchSize
from sagalog.engine.loops import Loop
from sagalog.engine.recovery import Recovery
from sagalog.engine.surroundings import Surroundings
from sagalog.engine.writing.failed_writes import RESTS, is_its_own, is_refused, next_move
from sagalog.engine.writing.impatience import Impatience
from sagalog.engine.writing.pieces import Outcome, Piece, Queued, Then, Told, name_of, resolve, size_of, tell
from sagalog.errors import BatchTooLarge, RowsLocked, StoreError, StoreUnavailable, WriteRefused
from sagalog.saga.failure import described
from sagalog.store import Append, AppendOutcome, Posting, PostOutcome

logger = logging.getLogger("sagalog.engine")

# Half of a thousand sagas that run at once: one half is written while the other decides.
LARGEST_BATCH = 500
# What follows from a batch that is no larger is waited for: two transactions would take longer than one. After a larger
# one the next half is written while what follows is decided.
FEW = 30
# A slow connection carries this within a statement's time limit; batches of small events are far smaller.
LARGEST_BYTES = 4 * 1024 * 1024
PAUSES = Pauses(0.05, 2.0)
# How many resting writes are named in the log.
MOST_NAMED = 10
# Seconds that a write that nobody waits for is held back, so that it goes along with another one.
LINGER = 0.05

CLOSED = "the process manager was closed before this was written"


class Committer:
    """The one writer of decisions and messages: it writes them in batches, and answers each once it is durable.

    `posted` is called when messages have become durable, so that they are routed. `noted` is called for durable notes
    from one saga to another. `react` lets those who were told of a small batch go on at once, so that what follows from
    it goes together into the next one. `tell_later` tells the outcomes of a larger one while the next one is written.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        write_timeout: float,
        posted: Callable[[], None],
        noted: Callable[[], None],
        tell_later: Callable[[Iterable[Told]], None],
        react: Callable[[], None],
    ) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._queue: deque[Queued] = deque()
        # Writes of callers with a time limit. They share each batch, so many slow writes do not delay them.
        self._urgent: deque[Queued] = deque()
        self._postings: deque[Queued] = deque()
        self._unhurried: deque[Queued] = deque()
        # Failed writes: those tried again in turn, and those that rest first.
        self._failed: deque[Piece] = deque()
        self._resting: list[Piece] = []
        self._backoff = Backoff(PAUSES)
        # Until this time of the event loop no write is tried that has failed alone.
        self._spared_until = 0.0
        self._lingering: asyncio.TimerHandle | None = None
        self._posted = posted
        self._noted = noted
        self._tell_later = tell_later
        self._react = react
        # Called when something is written after the store was in trouble.
        self.recovery = Recovery()
        self._write_timeout = write_timeout
        self._impatience = Impatience(write_timeout, self._problem_of)
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._writing: Loop | None = None
        self._closing = False
        self._closed = False
        # After this time of the event loop nothing is written any more.
        self._close_by = math.inf
        self._size = BatchSize(LARGEST_BYTES)
        self.trouble: Exception | None = None
        self.commits = 0

    def start(self) -> None:
        """Begin to write."""
        self._writing = Loop(self._run, "sagalog-committer", self._wake.set)
        self._impatience.look()

    def _problem_of(self, write: Any) -> Exception | None:
        """Return the error that keeps this write, or all writes, from being written."""
        for piece in (*self._resting, *self._failed):
            if any(one is write for one, _ in piece.queued):
                return piece.problem
        return self.trouble

    def submit_then(self, append: Append, then: Then, hurried: bool = True) -> None:
        """Queue an append; `then` is called with its outcome once the transaction is durable.

        Unless `hurried`, nobody waits for it: it is written with the next one, or after `LINGER`. The outcome is
        `WriteRefused` if the database refuses this append and takes others, and any other error if it is unknown.
        """
        if self._closed:
            tell(then, StoreUnavailable(CLOSED))
        elif hurried:
            self._enqueue(self._queue, append, then)
        else:
            self._unhurried.append((append, then))
            if self._lingering is None:
                self._lingering = self._loop.call_later(LINGER, self._hurry)

    def submit_urgent(self, append: Append, then: Then) -> None:
        """Queue an append of a caller with a time limit."""
        self._enqueue(self._urgent, append, then)

    def submit(self, append: Append) -> "asyncio.Future[AppendOutcome]":
        """Queue an append; the future has its outcome, or raises it."""
        future: asyncio.Future[AppendOutcome] = self._loop.create_future()
        self.submit_then(append, partial(resolve, future))
        return future

    def within_time(self, write: Append | Posting) -> "asyncio.Future[Any]":
        """Return a future for the outcome of a write, which gets the store's error after `write_timeout`.

        Whoever submits the write resolves it; the write is still tried.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        self._impatience.add(future, write)
        return future

    def _hurry(self) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if self._unhurried:
            self._queue.extend(self._unhurried)
            self._unhurried.clear()
            self._wake.set()

    def post_then(self, posting: Posting, then: Then) -> None:
        """Queue a posting; `then` is called as by `submit_then`."""
        self._enqueue(self._postings, posting, then)

    def post(self, posting: Posting, patient: bool = True, then: Then | None = None) -> "asyncio.Future[PostOutcome]":
        """Queue a posting; the future has its outcome, or raises it.

        Unless `patient`, the future gets the store's error after `write_timeout`, while the posting is still tried.
        `then` is called once with the outcome, also if nobody waits for the future any more.
        """
        future: asyncio.Future[PostOutcome] = self._loop.create_future() if patient else self.within_time(posting)

        def is_posted(outcome: Outcome) -> None:
            if then is not None:
                tell(then, outcome)
            resolve(future, outcome)

        self.post_then(posting, is_posted)
        return future

    def _enqueue(self, queue: deque[Queued], write: Any, then: Then) -> None:
        if self._closed:
            tell(then, StoreUnavailable(CLOSED))
            return
        queue.append((write, then))
        if not self._wake.is_set():
            self._wake.set()

    async def close(self) -> None:
        """Write what is queued, if the store answers, and end; what is left gets `StoreUnavailable`.

        It takes at most `write_timeout`, and the rest of the statement that is under way then.
        """
        self._closing = True
        self._close_by = self._loop.time() + self._write_timeout
        self._hurry()
        self._wake.set()
        try:
            if self._writing is not None:
                await self._writing.ended()
        finally:
            self._impatience.end()
            self.recovery.close()
            self._closed = True
            closed = StoreUnavailable(CLOSED)
            for queue in (self._queue, self._urgent, self._unhurried, self._postings):
                self._fail(list(queue), closed)
                queue.clear()

    async def _run(self) -> None:
        if self._failed:
            # The loop was restarted: the write that was interrupted goes before all newer ones.
            await self._write_again(self._failed.popleft())
        while True:
            if self._closing:
                # While closing no rest is waited for: each resting write is tried once more, now.
                self._failed.extend(self._resting)
                self._resting.clear()
            if not (self._queue or self._urgent or self._postings or self._failed):
                if self._closing:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            if self._queue or self._urgent:
                self._hurry()
                await self._write(Piece(self._batch(self._urgent, self._queue), self._store.append))
            if self._postings:
                await self._write(Piece(self._batch(self._postings), self._store.post))
            if self._failed:
                await self._write_again(self._failed.popleft())

    def _batch(self, *queues: deque[Queued]) -> list[Queued]:
        """Take the next batch from all queues in turn, limited in number and in bytes."""
        batch: list[Queued] = []
        room = self._size.now
        held = [queue for queue in queues if queue]
        while held:
            for queue in held:
                room -= size_of(queue[0][0])
                if batch and (room < 0 or len(batch) == LARGEST_BATCH):
                    return batch
                batch.append(queue.popleft())
            if not all(held):
                held = [queue for queue in held if queue]
        return batch

    async def _write(self, piece: Piece) -> None:
        began = self._loop.time()
        writes = [one for one, _ in piece.queued]
        if began > self._close_by:
            self._fail(piece.queued, piece.problem or StoreUnavailable(CLOSED))
            return
        try:
            writing = self._blocking.write(piece.write, writes)
            if len(writes) > FEW:
                self._blocking.let_write()
            outcomes = await writing
            if len(outcomes) != len(writes):
                raise ValueError(f"expected an outcome for each of {len(writes)} writes, found {len(outcomes)}")
        except asyncio.CancelledError:
            # The thread goes on, so it may be written all the same; the store recognises it then.
            self._failed.appendleft(piece)
            raise
        except Exception as problem:
            if isinstance(problem, BatchTooLarge) and len(writes) > 1 and not piece.tries:
                # The size is reduced only on the first try: halves may fail because of a single row.
                self._size.too_large(sum(map(size_of, writes)))
            await self._has_failed(piece, problem, self._loop.time() - began)
        else:
            self._size.passed()
            self._are_written(piece.queued, outcomes)

    async def _write_again(self, piece: Piece) -> None:
        spared = self._spared_until - self._loop.time()
        if piece.rests and spared > 0 and not self._closing:
            self._rest(piece, spared)
        else:
            await self._write(piece)

    async def _has_failed(self, piece: Piece, problem: Exception, seconds: float) -> None:
        """Decide what to do about a piece that failed after so many seconds."""
        number = len(piece.queued)
        # Since the last new failure something was written: then the store is not in trouble, only this piece is.
        others_pass = piece.tries > 0 and self.trouble is None
        piece.tries += 1
        piece.refusals += number == 1 and is_refused(problem)
        piece.problem = problem
        move = next_move(problem, number, piece.refusals, others_pass)
        if self._closing and move != "halves":
            move = "give up"
        if move == "halves":
            self._cut(piece, problem, seconds)
        elif move == "rest":
            self._set_aside(piece, problem, seconds)
        elif move == "again":
            self._failed.append(piece)
        else:
            self._give_up(piece, problem)
        if not is_its_own(problem, number, others_pass) and not self._closing:
            self._is_in_trouble(problem)
            await asyncio.sleep(self._backoff.pause())

    def _cut(self, piece: Piece, problem: Exception, seconds: float) -> None:
        """Try a piece in two halves; or without the writes whose rows are known to be locked."""
        parts = [piece.queued[: len(piece.queued) // 2], piece.queued[len(piece.queued) // 2 :]]
        if isinstance(problem, RowsLocked) and problem.sagas:
            parts = [[one for one in piece.queued if one[0].saga_id not in problem.sagas]]
            for one in piece.queued:
                if one[0].saga_id in problem.sagas:
                    self._set_aside(Piece([one], piece.write, piece.tries, problem), problem, seconds)
        self._failed.extend(Piece(part, piece.write, piece.tries, problem) for part in parts if part)

    def _set_aside(self, piece: Piece, problem: Exception, seconds: float) -> None:
        """Let a piece rest that failed alone after `seconds`."""
        self._say_of(piece, problem)
        self._spared_until = self._loop.time() + SHARE * seconds
        piece.rests += 1
        self._rest(piece, RESTS.after(piece.rests))

    def _give_up(self, piece: Piece, problem: Exception) -> None:
        if not isinstance(problem, StoreError):
            what = name_of(piece.queued[0][0])
            logger.error("%s could not be written", what, exc_info=problem)
            problem = WriteRefused(f"{what} could not be written: {described(problem)}")
        self._fail(piece.queued, problem)

    def _say_of(self, piece: Piece, problem: Exception) -> None:
        """Log that a write rests: more and more seldom, and not for each if there are many."""
        if is_worth_saying(piece.rests) and len(self._resting) < MOST_NAMED:
            name = name_of(piece.queued[0][0])
            logger.warning("%s is not written yet, trying again alone: %s", name, described(problem))

    def _rest(self, piece: Piece, seconds: float) -> None:
        self._resting.append(piece)
        self._loop.call_later(seconds, self._end_rest, piece)

    def _end_rest(self, piece: Piece) -> None:
        if piece in self._resting:
            self._resting.remove(piece)
            self._failed.append(piece)
            self._wake.set()

    def _is_in_trouble(self, problem: Exception) -> None:
        if self.trouble is None:
            logger.warning("the store cannot be written for now, trying again: %s", described(problem))
        self.trouble = problem

    def _are_written(self, batch: list[Queued], outcomes: Sequence[str]) -> None:
        if self.trouble is not None:
            logger.warning("the store can be written again")
            self.trouble = None
            self.recovery.recovered()
        self._backoff.reset()
        self.commits += 1
        told = ((then, outcome) for (_, then), outcome in zip(batch, outcomes, strict=True))
        if len(batch) > FEW:
            self._tell_later(told)
        else:
            for then, outcome in told:
                tell(then, outcome)
            self._react()
        if any(one.messages for one, _ in batch):
            self._posted()
        if any(isinstance(one, Append) and one.notes for one, _ in batch):
            self._noted()

    @staticmethod
    def _fail(batch: list[Queued], problem: Exception) -> None:
        for _, then in batch:
            tell(then, problem)
