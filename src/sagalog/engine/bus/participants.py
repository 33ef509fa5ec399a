"""The participants whose consumers this process has: due messages of their inboxes are handled, lane by lane.

A lane holds the messages of one correlation id. They are handled one after the other, also when the first has to be
retried or is parked; other lanes go on meanwhile. If the outcome of a handling cannot be written, that is retried with
growing pauses, a bounded number of times; then the message is parked.
"""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from sagalog.engine.backoff import Pauses
from sagalog.engine.batch_size import BatchSize
from sagalog.engine.bus.consumers import Consumers
from sagalog.engine.bus.handling import Handling
from sagalog.engine.calls.call import NotBegun, NoThread, StillOurs
from sagalog.engine.ending import end, is_cancelled_by_others, raise_if_ending
from sagalog.engine.hint import Hint
from sagalog.engine.message_log import log_handled
from sagalog.engine.reentry import enter
from sagalog.engine.setbacks import Setbacks
from sagalog.engine.surroundings import Surroundings
from sagalog.engine.unmatched import parked_row
from sagalog.engine.writing.committer import Committer
from sagalog.errors import BatchTooLarge, StoreError, StoreUnavailable
from sagalog.messages import Envelope, Unreadable
from sagalog.saga.failure import described, text_of, type_of
from sagalog.store import InboxRow, Posting

logger = logging.getLogger("sagalog.engine")

# What comes of a message and cannot be written, or what is handled with an error that nobody foresaw, is tried again
# after so many seconds, each time twice as many, and the message parked at the last of so many times.
PAUSES = Pauses(0.2, 30.0)
MOST_TRIES = 5
# The same for an inbox that cannot be read.
PAUSES_UNREAD = Pauses(0.05, 2.0)
# How many rows are looked at at once, however many handlers run and however many messages are set back.
LARGEST_LOOK = 10_000


class Postponed(Struct, frozen=True):
    """How often the outcome of a message could not be written, and when, by the loop's time, that is tried again."""

    times: int
    until: float


class Participants:
    """The participants of this process; each handles at most `limits.most_handling` messages at once."""

    def __init__(
        self,
        surroundings: Surroundings,
        committer: Committer,
        consumers: Consumers,
        handlings: Sequence[Handling],
    ) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._clock = surroundings.clock
        self._committer = committer
        self._consumers = consumers
        self._handlings = {f"participant:{one.definition.name}": one for one in handlings}
        self._most_handling = surroundings.limits.most_handling
        self._poll = surroundings.limits.poll / 1e6
        self._hint = Hint()
        # Whose inboxes are to be looked into now.
        self._asked: set[str] = set()
        self._tasks: dict[str, dict[str, asyncio.Task[None]]] = {name: {} for name in self._handlings}
        self._sizes: dict[str, BatchSize] = {}
        self._held: set[asyncio.Task[None]] = set()
        # What was done since the last read began: that read may have seen it undone all the same.
        self._done: set[tuple[str, str]] = set()
        # What came of these is being written, whether or not anybody waits for it.
        self._written_now: set[tuple[str, str]] = set()
        self._stopping = False
        self._setbacks: dict[str, dict[str, Postponed]] = {name: {} for name in self._handlings}
        for one in handlings:
            one.turns.add(self._threads_are_free)
        self._unread = Setbacks(lambda: asyncio.get_running_loop().time(), PAUSES_UNREAD)

    def has(self, recipient: str) -> bool:
        """Tell whether the recipient is a participant of this process."""
        return recipient in self._handlings

    def hint(self, recipient: str | None = None) -> None:
        """Look into this inbox, or into all, now instead of at the next poll."""
        self._asked.update(self._handlings if recipient is None else (recipient,))
        self._hint.give()

    def _threads_are_free(self) -> None:
        self._consumers.take_what_was_left()
        self.hint()

    async def run(self) -> None:
        """Handle due messages until cancelled."""
        enter(self._blocking)
        loop = asyncio.get_running_loop()
        look_at_all_at = 0.0
        while True:
            self._hint.forget()
            # By the event loop's time: a clock that was ahead for a moment must not keep the next look from coming.
            if (now := loop.time()) >= look_at_all_at:
                # What was to be tried again later may be due, also while hints for others never cease.
                self._asked.update(self._handlings)
                look_at_all_at = now + self._poll
            await self._look_at_those_asked()
            await self._hint.wait(self._poll)

    async def _look_at_those_asked(self) -> None:
        """Read inboxes; one that cannot be read rests for a growing pause, and holds up no other."""
        asked = list(self._asked)
        self._asked.clear()
        for recipient in asked:
            # The poll will ask for it again.
            if self._unread.waits(recipient):
                continue
            try:
                await self._look(recipient)
            except (Exception, asyncio.CancelledError) as problem:
                # Whatever it is, the other messages have to go on being handled.
                raise_if_ending(problem)
                if self._unread.add(recipient, counts=True).counted == 1:
                    trace = None if isinstance(problem, StoreError) else problem
                    text = "the inbox of %s could not be read, trying again: %s"
                    logger.warning(text, recipient, described(problem), exc_info=trace)
            else:
                if self._unread.forget(recipient):
                    logger.warning("the inbox of %s is read again", recipient)

    async def _look(self, recipient: str) -> None:
        handling, tasks = self._handlings[recipient], self._tasks[recipient]
        setbacks = self._setbacks[recipient]
        if recipient not in self._consumers.owned:
            setbacks.clear()
            return
        if len(tasks) >= self._most_handling:
            return
        self._done.clear()
        # What is being handled is still in its inbox, at the head of its lane, and so is what waits to be tried again.
        most = self._most_handling + len(tasks) + len(setbacks)
        size = self._sizes.setdefault(recipient, BatchSize(LARGEST_LOOK))
        limit = min(most, size.now)
        try:
            found = await self._blocking.read(self._store.inbox, recipient, self._clock.now(), limit)
        except BatchTooLarge:
            size.too_large(limit)
            raise
        size.passed()
        now = asyncio.get_running_loop().time()
        lacks_thread = False
        for row, envelope in found:
            if row.message_id in tasks or (recipient, row.message_id) in self._done:
                continue
            if not handling.turns.has_threads and not handling.can_be_cancelled(envelope):
                # Others may have a thread; the turns hint when there is one here.
                lacks_thread = True
                continue
            if (setback := setbacks.get(row.message_id)) is not None and now < setback.until:
                continue
            # Asked again, for the reading took its time.
            if len(tasks) >= self._most_handling or recipient not in self._consumers.owned:
                return
            ours = partial(self._consumers.still_ours, recipient, self._consumers.worker_id)
            task = asyncio.get_running_loop().create_task(self._handle(handling, row, envelope, ours))
            tasks[row.message_id] = task
            task.add_done_callback(partial(self._is_handled, row))
            if not handling.can_be_cancelled(envelope):
                self._held.add(task)
                task.add_done_callback(self._held.discard)
        if lacks_thread and not tasks and handling.turns.is_stuck:
            # While none of its handlers is under way: others would handle the same messages beside them.
            await self._consumers.leave_to_others(recipient, NoThread())

    async def _handle(self, handling: Handling, row: InboxRow, envelope: Envelope, ours: StillOurs) -> None:
        setbacks = self._setbacks[row.recipient]
        try:
            if isinstance(envelope, Unreadable):
                await self._post_parked(row, envelope, envelope.problem, "Unreadable", envelope.problem)
                return
            await self._post(row, envelope, await handling.handle(row, envelope, ours))
        except NotBegun as problem:
            setbacks.pop(row.message_id, None)
            if not isinstance(problem, NoThread):
                logger.info("message %s is left to whoever has %s now", envelope.id, row.recipient)
        except BaseException as problem:
            raise_if_ending(problem)
            await self._set_back(row, envelope, problem)

    def _is_handled(self, row: InboxRow, _: "asyncio.Future[None]") -> None:
        """Let the message be handled again, unless its outcome is still being written."""
        if (row.recipient, row.message_id) not in self._written_now:
            self._is_over(row)

    def _is_over(self, row: InboxRow) -> None:
        self._tasks[row.recipient].pop(row.message_id, None)
        self._done.add((row.recipient, row.message_id))
        self.hint(row.recipient)
        self._leave_if_idle(row.recipient)

    def _leave_if_idle(self, recipient: str) -> None:
        """Give a participant back if this process stops, none of its handlers runs, and no outcome is being written."""
        if self._stopping and not self._tasks[recipient]:
            self._consumers.give_back([recipient])

    async def _post(self, row: InboxRow, envelope: Envelope, posting: Posting) -> None:
        key, task = (row.recipient, row.message_id), asyncio.current_task()

        def then(is_written: bool | None) -> None:
            # Whoever waited for it may have been cancelled, and the message is in its inbox until now.
            self._written_now.discard(key)
            if is_written is not None:
                self._setbacks[row.recipient].pop(row.message_id, None)
            if is_written:
                log_handled(row, envelope, posting)
            if task is not None and task.done():
                self._is_over(row)

        self._written_now.add(key)
        written = self._committer.post(posting, then=then)
        if is_cancelled_by_others():
            # Whoever ends all tasks is not to be kept waiting. It is being written all the same.
            raise asyncio.CancelledError
        if await written != "written":
            # The consumer was lost to another worker, which has handled the message too.
            logger.info("message %s was handled by another worker of %s too", envelope.id, row.recipient)

    async def _set_back(self, row: InboxRow, envelope: Envelope, problem: BaseException) -> None:
        """Let a message be retried after a pause, or park it, for an error that was not the handler's."""
        setbacks = self._setbacks[row.recipient]
        before = setbacks.get(row.message_id)
        times = 1 if before is None else before.times + 1
        if isinstance(problem, StoreUnavailable):
            # An outage is no fault of the message, however often it comes.
            times = min(times, MOST_TRIES - 1)
        pause = PAUSES.after(times)
        setbacks[row.message_id] = Postponed(times, asyncio.get_running_loop().time() + pause)
        if times < MOST_TRIES:
            trace = None if isinstance(problem, StoreError) else problem
            said = described(problem)
            logger.warning("message %s will be handled again in %g s: %s", envelope.id, pause, said, exc_info=trace)
            return
        try:
            await self._park(row, envelope, problem, times)
            setbacks.pop(row.message_id, None)
        except BaseException as second:
            raise_if_ending(second)
            logger.error("message %s can be neither handled nor parked: %s", envelope.id, described(second))

    async def _park(self, row: InboxRow, envelope: Envelope, problem: BaseException, times: int) -> None:
        """Park a message whose outcome could not be written, so that its lane waits for a person."""
        try:
            await self._post_given_up(row, envelope, times, type_of(problem), text_of(problem))
        except StoreUnavailable:
            raise
        except StoreError:
            # It may be the text of the error that the store refuses.
            await self._post_given_up(row, envelope, times, type_of(problem), "the store refuses what it says")

    async def _post_given_up(self, row: InboxRow, envelope: Envelope, times: int, kind: str, said: str) -> None:
        reason = f"what came of it could not be written, {times} times: {kind}: {said}"
        await self._post_parked(row, envelope, reason, kind, said)

    async def _post_parked(self, row: InboxRow, envelope: Envelope, reason: str, kind: str, said: str) -> None:
        parked = parked_row(self._clock, row.recipient, envelope, row.position, reason)
        posting = Posting(
            retry=replace(row, attempts=row.attempts + 1, status="parked", error_type=kind, error_text=said),
            # By its own id, also if it cannot be read: whoever settles it settles the row of the inbox.
            parked=replace(parked, message_id=row.message_id),
            delivered=(envelope.id,) if envelope.kind == "command" else (),
        )
        await self._post(row, envelope, posting)

    async def stop(self, grace: float) -> None:
        """Let handlers end within `grace` seconds, plain functions in their own time; call it when `run` has ended."""
        self._stopping = True
        for recipient in self._handlings:
            self._leave_if_idle(recipient)
        tasks = [task for running in self._tasks.values() for task in running.values()]
        if not tasks:
            return
        await asyncio.wait(tasks, timeout=grace)
        for task in tasks:
            # A thread cannot be stopped: whoever handled the message again meanwhile would do it beside this one.
            if task not in self._held:
                end(task)
        await asyncio.gather(*tasks, return_exceptions=True)
