"""The inbox messages of one worker's sagas: read, and handed over once. It decides nothing.

If reading all fails, they are read saga by saga, so that a message that cannot be read delays only its own saga.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from sagalog.engine.batch_size import BatchSize
from sagalog.engine.sagas.one_by_one import OneByOne
from sagalog.engine.surroundings import Surroundings
from sagalog.errors import BatchTooLarge
from sagalog.messages import Envelope
from sagalog.saga.failure import described
from sagalog.store import InboxRow

logger = logging.getLogger("sagalog.engine")

BATCH = 500
# A saga with so many messages here gets no more until it has taken half of them: each read would read them again.
FULL = 500
# For how many sagas messages are read one by one in a round.
APART_AT_ONCE = 50
# A time after all others, so that the clock excludes no message.
AT_ANY_TIME = 2**62


class Inbox:
    """The messages for the sagas of this worker, without those that were handed over and are not taken yet.

    A row stays in the inbox until the decision that takes it is durable. So no message is lost when another worker
    takes a saga over; and a read that began before such a decision may still return what the decision has taken.

    Any saga may get messages: those that it waits for, and what people ask of it. `wants_more` is called when one that
    had enough of them is to get more.
    """

    def __init__(self, surroundings: Surroundings, wants_more: Callable[[], None]) -> None:
        self._wants_more = wants_more
        # Sagas that have enough to do with the messages that were handed over.
        self._full: set[str] = set()
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        # Messages taken since the last read began: that read may still return them.
        self._taken: set[tuple[str, str]] = set()
        # Sagas that had no runner when a message was routed to them. They get their messages from the inbox only, in
        # order, until a read that began later has ended.
        self._missed: set[str] = set()
        self._behind: set[str] = set()
        self._overflowed = False
        self._size = BatchSize(BATCH)
        # How many rows the last read returned that are still in the inbox: the next read must look behind them.
        self._left = 0
        self._one_by_one = OneByOne("has mail that cannot be read", self._passes, asyncio.get_running_loop().time)
        # Sagas whose messages were not read, so they may get no later ones; and those that were read alone after
        # reading all failed.
        self._unread: set[str] = set()
        self._looked_at: set[str] = set()
        self._worker_id = ""

    async def read(self, worker_id: str) -> list[tuple[InboxRow, Envelope]]:
        """Return the inbox rows for the sagas that a worker owns, in order of arrival."""
        self._taken.clear()
        self._behind |= self._missed
        self._missed.clear()
        limit = self._size.now + self._left
        but = [*self._one_by_one.resting(), *self._full]
        try:
            found = await self._blocking.read(self._store.mail, worker_id, limit, but)
        except Exception as problem:
            if isinstance(problem, BatchTooLarge):
                self._size.too_large(limit)
                # Otherwise the rows left by the last read would make every read too large.
                self._left //= 2
            logger.info("the mail of sagas is read one by one: %s", described(problem))
            # Any saga may have more messages than are read now.
            self._overflowed = True
            return await self._read_apart(worker_id, but)
        self._size.passed()
        self._one_by_one.forget(row.recipient for row, _ in found)
        self._overflowed = len(found) == limit
        self._unread = set(but)
        self._looked_at.clear()
        return found

    async def _read_apart(self, worker_id: str, but: Sequence[str]) -> list[tuple[InboxRow, Envelope]]:
        """Return the first message of each of some sagas; raise if it cannot be read which sagas have any."""
        self._worker_id = worker_id
        left_out = [*but, *self._looked_at]
        mailed = await self._blocking.read(self._store.mailed, worker_id, APART_AT_ONCE, left_out)
        # The next read looks at other sagas, since these may be unable to take their messages yet.
        self._looked_at.update(mailed)
        if len(mailed) < APART_AT_ONCE:
            self._looked_at.clear()
        read = await self._one_by_one.each(mailed, self._read_one)
        self._unread = {*self._one_by_one.resting(), *self._full}
        return [one for found in read.values() for one in found]

    async def _read_one(self, saga_id: str) -> list[tuple[InboxRow, Envelope]]:
        return await self._blocking.read(self._store.inbox, saga_id, AT_ANY_TIME, 1)

    async def _passes(self) -> None:
        """Raise if nothing can be read."""
        await self._blocking.read(self._store.mailed, self._worker_id, 1)

    @property
    def unread(self) -> list[str]:
        """Return the sagas whose messages cannot be read for now, which are not claimed because of them."""
        return self._one_by_one.resting()

    def hurry(self) -> None:
        """Try now what could not be read."""
        self._one_by_one.hurry()

    def took(self, saga_id: str, message_id: str) -> None:
        """Note that a saga has durably taken a message."""
        self._taken.add((saga_id, message_id))

    def holds(self, saga_id: str, number: int) -> None:
        """Note how many messages a saga has here that it has not taken."""
        if number >= FULL:
            self._full.add(saga_id)
        elif saga_id in self._full and number <= FULL // 2:
            self._full.discard(saga_id)
            self._wants_more()

    def missed(self, saga_id: str) -> None:
        """Note that the inbox of a saga may have a message that was not given to the saga."""
        self._missed.add(saga_id)

    def is_read(self, saga_id: str) -> bool:
        """Tell whether a new message may be given to a saga at once, since no earlier one may be unread."""
        unseen = (self._missed, self._behind, self._unread)
        return not (self._overflowed or any(saga_id in those for those in unseen))

    def hand_over(self, found: list[tuple[InboxRow, Envelope]], deliver: Callable[[str, Envelope], bool]) -> int:
        """Give each message to its saga and return how many were new; `deliver` says whether one was."""
        news = 0
        self._behind.clear()
        for row, envelope in found:
            if (row.recipient, row.message_id) not in self._taken:
                news += deliver(row.recipient, envelope)
        self._left = len(found) - news
        return news
