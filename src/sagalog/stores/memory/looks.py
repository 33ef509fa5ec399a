"""The methods of the memory store about messages, inboxes and consumers, under the store's lock."""

import threading
from collections.abc import Callable, Sequence

from sagalog.messages import Envelope
from sagalog.store import CommandRow, ConsumerRow, InboxRow, UnmatchedQuery, UnmatchedRow
from sagalog.stores.memory.messages import MemoryMessages


class MemoryLooks:
    """The methods of the port that do not concern sagas."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._messages = MemoryMessages()
        self._hints: list[Callable[[], None]] = []

    def _hint(self) -> None:
        for hint in list(self._hints):
            hint()

    def consumers(self) -> list[ConsumerRow]:
        """Return every consumer, by name."""
        with self._lock:
            return self._messages.consumers()

    def read_messages(self, after: int, limit: int) -> list[tuple[int, Envelope]]:
        """Return messages above position `after`."""
        with self._lock:
            return self._messages.read(after, limit)

    def messages_of(self, correlation_ids: Sequence[str]) -> list[tuple[int, Envelope]]:
        """Return the messages with these correlation ids, by position."""
        with self._lock:
            return self._messages.of(correlation_ids)

    def find_message(self, message_id: str) -> tuple[int, Envelope] | None:
        """Return a message with the position of its first entry in the log."""
        with self._lock:
            return self._messages.find(message_id)

    def commands(self, command_ids: Sequence[str]) -> dict[str, CommandRow]:
        """Return the rows of those of these commands that sagas have sent."""
        with self._lock:
            return self._messages.commands(command_ids)

    def commands_of(self, saga_id: str) -> list[CommandRow]:
        """Return the commands that a saga has sent."""
        with self._lock:
            return self._messages.commands_of(saga_id)

    def commands_many(self, saga_ids: Sequence[str]) -> dict[str, list[CommandRow]]:
        """Return the commands that several sagas have sent."""
        return {saga_id: self.commands_of(saga_id) for saga_id in saga_ids}

    def inbox(self, recipient: str, now: int, limit: int) -> list[tuple[InboxRow, Envelope]]:
        """Return the first row of each lane of a recipient, if it is pending and due."""
        with self._lock:
            return self._messages.due(recipient, now, limit)

    def unmatched(self, query: UnmatchedQuery) -> list[UnmatchedRow]:
        """Return the unmatched messages that match the query."""
        with self._lock:
            return self._messages.unmatched(query)

    def settle_unmatched(self, unmatched_id: str, status: str, actor: str, reason: str, now: int) -> bool:
        """Write a person's decision about a parked message."""
        with self._lock:
            settled = self._messages.decide(unmatched_id, status, actor, reason, now)
        self._hint()
        return settled

    def redelivering(self, consumers: Sequence[str], limit: int, after: str = "") -> list[UnmatchedRow]:
        """Return the messages of these consumers that are to be routed again."""
        with self._lock:
            return self._messages.redelivering(consumers, limit, after)

    def reindex(self, after: int, upto: int, messages: Sequence[tuple[int, Envelope]]) -> None:
        """Replace the index of messages at these positions."""
        with self._lock:
            self._messages.reindex(after, upto, messages)
