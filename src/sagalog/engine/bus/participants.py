"""The participants whose consumers this process owns: messages in their inboxes are handled, lane by lane.

A lane holds the messages of one correlation id. They are handled one after the other. If the first one is to be
retried or is parked, the rest of its lane waits; other lanes go on. If the outcome of a message cannot be written, the
message is handled again after growing pauses; after the last try it is parked.
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
from sagalog.engine.writing.pieces import Outcome
from sagalog.errors import BatchTooLarge, StoreError, StoreUnavailable
from sagalog.messages import Envelope, Unreadable
from sagalog.saga.failure import described, text_of, type_of
from sagalog.store import InboxRow, Posting

logger = logging.getLogger("sagalog.engine")

# The pauses before a message is handled again because its outcome could not be written, or after an unexpected error.
PAUSES = Pauses(0.2, 30.0)
# At the last of so many tries it is parked.
MOST_TRIES = 5
# The pauses for an inbox that cannot be read.
PAUSES_UNREAD = Pauses(0.05, 2.0)
# The limit of rows that one look reads, however many messages are being handled or set back.
LARGEST_LOOK = 10_000


class Postponed(Struct, frozen=True):
    """How often handling a message went wrong, and until when, by the loop's time, it is left alone."""

    times: int
    until: float


class Participants:
    """The participants of this process. Each handles at most `limits.most_handling` messages at once."""

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
        # The participants whose inboxes are to be read now.
        self._asked: set[str] = set()
        self._tasks: dict[str, dict[str, asyncio.Task[None]]] = {name: {} for name in self._handlings}
        self._sizes: dict[str, BatchSize] = {}
        self._held: set[asyncio.Task[None]] = set()
        # Messages that were finished since the last read began; that read may still return them.
        self._done: set[tuple[str, str]] = set()
        # Messages whose outcome is being written, even if the task that waited for it was cancelled.
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
        """Read this recipient's inbox, or all inboxes, now instead of at the next poll."""
        self._asked.update(self._handlings if recipient is None else (recipient,))
        self._hint.give()

    def _threads_are_free(self) -> None:
        self._consumers.take_what_was_left()
        self.hint()

    async def run(self) -> None:
        """Handle messages that are due, until cancelled."""
        enter(self._blocking)
        loop = asyncio.get_running_loop()
        look_at_all_at = 0.0
        while True:
            self._hint.forget()
            # By the event loop's time, so that setting the system clock cannot delay the next look.
            if (now := loop.time()) >= look_at_all_at:
                # Messages to be retried may be due, and hints for other inboxes must not delay them.
                self._asked.update(self._handlings)
                look_at_all_at = now + self._poll
            await self._look_at_those_asked()
            await self._hint.wait(self._poll)

    async def _look_at_those_asked(self) -> None:
        """Look into the inboxes that were asked for; one that cannot be read pauses and delays no other."""
        asked = list(self._asked)
        self._asked.clear()
        for recipient in asked:
            # The poll will ask for it again.
            if self._unread.waits(recipient):
                continue
            try:
                await self._look(recipient)
            except (Exception, asyncio.CancelledError) as problem:
                # Whatever went wrong, the messages of other inboxes must still be handled.
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
        # Messages that are being handled or set back are still at the head of their lanes, so they are read as well.
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
                # Another worker may have a free thread. When there is one here, `_threads_are_free` is called.
                lacks_thread = True
                continue
            if (setback := setbacks.get(row.message_id)) is not None and now < setback.until:
                continue
            # Checked again, because both may have changed during the read.
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
            # Only while none of its handlers runs: another worker would handle the same message at the same time.
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
        """Forget a task that has ended, unless the outcome is still being written; then the write does it."""
        if (row.recipient, row.message_id) not in self._written_now:
            self._is_over(row)

    def _is_over(self, row: InboxRow) -> None:
        self._tasks[row.recipient].pop(row.message_id, None)
        self._done.add((row.recipient, row.message_id))
        self.hint(row.recipient)
        self._leave_if_idle(row.recipient)

    def _leave_if_idle(self, recipient: str) -> None:
        """Release a participant if this process stops, its handlers have ended, and their outcomes are written."""
        if self._stopping and not self._tasks[recipient]:
            self._consumers.give_back([recipient])

    async def _post(self, row: InboxRow, envelope: Envelope, posting: Posting) -> None:
        key, task = (row.recipient, row.message_id), asyncio.current_task()

        def then(outcome: Outcome) -> None:
            # If the task was cancelled while it waited for this write, the message is over only now.
            self._written_now.discard(key)
            if not isinstance(outcome, Exception):
                self._setbacks[row.recipient].pop(row.message_id, None)
            if outcome == "written":
                log_handled(row, envelope, posting)
            if task is not None and task.done():
                self._is_over(row)

        self._written_now.add(key)
        written = self._committer.post(posting, then=then)
        if is_cancelled_by_others():
            # Code that cancels all tasks must not be kept waiting. The write goes on without this task.
            raise asyncio.CancelledError
        if await written != "written":
            # This process lost the consumer to another worker, which has handled the message too.
            logger.info("message %s was handled by another worker of %s too", envelope.id, row.recipient)

    async def _set_back(self, row: InboxRow, envelope: Envelope, problem: BaseException) -> None:
        """Let a message be handled again after a pause, or park it; this is not for failures of its handler."""
        setbacks = self._setbacks[row.recipient]
        before = setbacks.get(row.message_id)
        times = 1 if before is None else before.times + 1
        if isinstance(problem, StoreUnavailable):
            # An outage is not the message's fault, so it alone never parks one.
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
        """Park a message whose outcome cannot be written, so that its lane waits for a person."""
        try:
            await self._post_given_up(row, envelope, times, type_of(problem), text_of(problem))
        except StoreUnavailable:
            raise
        except StoreError:
            # The store may have refused the error's text.
            await self._post_given_up(row, envelope, times, type_of(problem), "the store refuses what it says")

    async def _post_given_up(self, row: InboxRow, envelope: Envelope, times: int, kind: str, said: str) -> None:
        reason = f"what came of it could not be written, {times} times: {kind}: {said}"
        await self._post_parked(row, envelope, reason, kind, said)

    async def _post_parked(self, row: InboxRow, envelope: Envelope, reason: str, kind: str, said: str) -> None:
        parked = parked_row(self._clock, row.recipient, envelope, row.position, reason)
        posting = Posting(
            retry=replace(row, attempts=row.attempts + 1, status="parked", error_type=kind, error_text=said),
            # The message's own id, even if it is unreadable: settling the parked row finds the inbox row by it.
            parked=replace(parked, message_id=row.message_id),
            delivered=(envelope.id,) if envelope.kind == "command" else (),
        )
        await self._post(row, envelope, posting)

    async def stop(self, grace: float) -> None:
        """Give handlers `grace` seconds to end, then cancel them; those in threads are waited for.

        Call it when `run` has ended.
        """
        self._stopping = True
        for recipient in self._handlings:
            self._leave_if_idle(recipient)
        tasks = [task for running in self._tasks.values() for task in running.values()]
        if not tasks:
            return
        await asyncio.wait(tasks, timeout=grace)
        for task in tasks:
            # A thread cannot be stopped. If we did not wait, another worker would handle its message at the same time.
            if task not in self._held:
                end(task)
        await asyncio.gather(*tasks, return_exceptions=True)
