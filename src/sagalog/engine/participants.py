"""The participants whose consumers this process has: what is due in their inboxes is handled, lane by lane.

A lane is what belongs together by its correlation id. Its messages are handled one after the other, also when the first
of them has to be tried again or is parked; other lanes go on meanwhile.
"""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from sagalog.clock import Clock
from sagalog.engine.blocking import Blocking
from sagalog.engine.calling import NotBegun, StillOurs
from sagalog.engine.committer import Committer
from sagalog.engine.consumers import Consumers
from sagalog.engine.handling import Handling
from sagalog.engine.limits import Limits
from sagalog.engine.message_log import log_handled
from sagalog.errors import StoreError
from sagalog.messages import Envelope
from sagalog.store import InboxRow, Store

logger = logging.getLogger("sagalog.engine")


class Participants:
    """Handle messages, at most `limits.most_handling` at once for each participant."""

    def __init__(
        self,
        store: Store,
        blocking: Blocking,
        clock: Clock,
        committer: Committer,
        consumers: Consumers,
        handlings: Sequence[Handling],
        limits: Limits,
    ) -> None:
        self._store = store
        self._blocking = blocking
        self._clock = clock
        self._committer = committer
        self._consumers = consumers
        self._handlings = {f"participant:{one.definition.name}": one for one in handlings}
        self._most_handling = limits.most_handling
        self._poll = limits.poll
        self._hint = asyncio.Event()
        # Whose inboxes are to be looked into now.
        self._asked: set[str] = set()
        self._tasks: dict[str, dict[str, asyncio.Task[None]]] = {name: {} for name in self._handlings}
        self._held: set[asyncio.Task[None]] = set()
        # What was done since the last read began: that read may have seen it undone all the same.
        self._done: set[tuple[str, str]] = set()

    def has(self, recipient: str) -> bool:
        """Tell whether the recipient is a participant of this process."""
        return recipient in self._handlings

    def hint(self, recipient: str | None = None) -> None:
        """Look into this inbox, or into all, now instead of at the next poll."""
        self._asked.update(self._handlings if recipient is None else (recipient,))
        self._hint.set()

    async def run(self) -> None:
        """Handle what is due, for ever."""
        look_at_all_at = 0
        while True:
            self._hint.clear()
            if (now := self._clock.now()) >= look_at_all_at:
                # What was to be tried again later may be due, also while hints for others never cease.
                self._asked.update(self._handlings)
                look_at_all_at = now + self._poll
            asked = list(self._asked)
            self._asked.clear()
            try:
                for recipient in asked:
                    await self._look(recipient)
            except StoreError as problem:
                logger.warning("no inbox could be read: %s", problem)
            except Exception:
                # Whatever it is, the other messages have to go on being handled.
                logger.exception("no inbox could be read")
            try:
                async with asyncio.timeout(self._poll / 1e6):
                    await self._hint.wait()
            except TimeoutError:
                # Nobody called: the poll is the backstop.
                continue

    async def _look(self, recipient: str) -> None:
        handling, tasks = self._handlings[recipient], self._tasks[recipient]
        if recipient not in self._consumers.owned or len(tasks) >= self._most_handling:
            return
        self._done.clear()
        now = self._clock.now()
        # What is being handled is still in its inbox, at the head of its lane.
        found = await self._blocking.read(self._store.inbox, recipient, now, self._most_handling + len(tasks))
        for row, envelope in found:
            if row.message_id in tasks or (recipient, row.message_id) in self._done:
                continue
            # Asked again, for the reading took its time.
            if len(tasks) >= self._most_handling or recipient not in self._consumers.owned:
                return
            ours = partial(self._consumers.still_ours, recipient, self._consumers.worker_id)
            task = asyncio.get_running_loop().create_task(self._handle(handling, row, envelope, ours))
            tasks[row.message_id] = task
            if not handling.can_be_cancelled(envelope):
                self._held.add(task)
                task.add_done_callback(self._held.discard)

    async def _handle(self, handling: Handling, row: InboxRow, envelope: Envelope, ours: StillOurs) -> None:
        try:
            posting = await handling.handle(row, envelope, ours)
            outcome = await self._committer.post(posting)
            if outcome == "written":
                log_handled(row, envelope, posting)
            else:
                # The consumer was lost to another worker, which has handled the message too.
                logger.info("message %s was handled by another worker of %s too", envelope.id, row.recipient)
        except NotBegun:
            logger.info("message %s is left to whoever has %s now", envelope.id, row.recipient)
        except StoreError as problem:
            logger.warning("message %s will be handled again: %s", envelope.id, problem)
        except Exception:
            logger.exception("message %s will be handled again", envelope.id)
        finally:
            del self._tasks[row.recipient][row.message_id]
            self._done.add((row.recipient, row.message_id))
            self.hint(row.recipient)

    async def stop(self, grace: float) -> None:
        """Let handlers end within `grace` seconds, plain functions in their own time; call it when `run` has ended."""
        tasks = [task for running in self._tasks.values() for task in running.values()]
        if not tasks:
            return
        await asyncio.wait(tasks, timeout=grace)
        for task in tasks:
            # A thread cannot be stopped: whoever handled the message again meanwhile would do it beside this one.
            if task not in self._held:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
