"""The messages that wait in the inbox for the sagas of one worker: read, and handed over once. It decides nothing."""

from collections.abc import Callable

from sagalog.engine.batch_size import BatchSize
from sagalog.engine.blocking import Blocking
from sagalog.errors import BatchTooLarge
from sagalog.messages import Envelope
from sagalog.store import InboxRow, Store

BATCH = 500


class Mail:
    """Read what has arrived for sagas, and leave out what has been handed over and is not taken yet.

    A row stays in the inbox until the decision that takes it is durable. So a saga that is lost to another worker loses
    no mail with it, and a read that began before such a decision may still show what the decision has taken.
    """

    def __init__(self, store: Store, blocking: Blocking) -> None:
        self._store = store
        self._blocking = blocking
        # What was taken since the last read began: that read may have seen it all the same.
        self._taken: set[tuple[str, str]] = set()
        # For whom a message was routed that no runner was there to take at once: theirs are taken from the inbox, in
        # order, until a read that began later is over.
        self._missed: set[str] = set()
        self._behind: set[str] = set()
        self._overflowed = False
        self._size = BatchSize(BATCH)
        # How many rows the last read found and left: the next one has to look behind them.
        self._left = 0

    async def read(self, worker_id: str) -> list[tuple[InboxRow, Envelope]]:
        """Return what the inbox holds for the sagas that a worker owns, in order of arrival."""
        self._taken.clear()
        self._behind |= self._missed
        self._missed.clear()
        limit = self._size.now + self._left
        try:
            found = await self._blocking.read(self._store.mail, worker_id, limit)
        except BatchTooLarge:
            self._size.too_large(limit)
            # Else what was left there the last time would make every read too large.
            self._left //= 2
            raise
        self._size.passed()
        self._overflowed = len(found) == limit
        return found

    def took(self, saga_id: str, message_id: str) -> None:
        """Say that a saga has taken a message, and that this is durable."""
        self._taken.add((saga_id, message_id))

    def missed(self, saga_id: str) -> None:
        """Say that a message has come to the inbox of a saga, and that nobody has given it to the saga."""
        self._missed.add(saga_id)

    def is_read(self, saga_id: str) -> bool:
        """Tell whether a message that has just come may be given to a saga at once: none came before it unseen."""
        return not (self._overflowed or saga_id in self._missed or saga_id in self._behind)

    def hand_over(self, found: list[tuple[InboxRow, Envelope]], deliver: Callable[[str, Envelope], bool]) -> int:
        """Give each message to its saga and return how many were news; `deliver` says whether one was."""
        news = 0
        self._behind.clear()
        for row, envelope in found:
            if (row.recipient, row.message_id) not in self._taken:
                news += deliver(row.recipient, envelope)
        self._left = len(found) - news
        return news
