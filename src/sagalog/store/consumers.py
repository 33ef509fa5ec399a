"""The part of the port about consumers: how far each has read, what it routed, and what it could not use."""

from collections.abc import Sequence
from typing import Protocol

from sagalog.store.requests import Route, RouteOutcome, UnmatchedQuery
from sagalog.store.rows import ConsumerRow, UnmatchedRow


class Consumers(Protocol):
    """The role of a store to keep consumers and unmatched messages."""

    def route(self, route: Route) -> RouteOutcome:
        """Write the results of a batch of messages and move its consumers on, all of it or nothing.

        "conflict": a consumer has another position or owner than `advances` says, or a row of `redelivered` no longer
        waits. "exists": the key of a start is taken. Inbox rows that exist already are kept as they are. After a lost
        acknowledgement the same route gives a conflict; then look up the positions of the consumers.
        """
        ...

    def take_consumers(self, worker_id: str, names: Sequence[str], now: int, from_now: bool) -> list[ConsumerRow]:
        """Give a worker those of these consumers that no live worker owns; return all of them that it owns now.

        A new consumer begins at the start of the log, or at its present end if `from_now`.
        """
        ...

    def release_consumers(self, worker_id: str, names: Sequence[str]) -> None:
        """Give back those of these consumers that this worker owns."""
        ...

    def consumers(self) -> list[ConsumerRow]:
        """Return every consumer, by name."""
        ...

    def unmatched(self, query: UnmatchedQuery) -> list[UnmatchedRow]:
        """Return the unmatched messages that match the query, newest first."""
        ...

    def settle_unmatched(self, unmatched_id: str, status: str, actor: str, reason: str, now: int) -> bool:
        """Write a person's decision, "redelivering" or "discarded"; return False if the message is no longer parked.

        A message that is "redelivering" can be discarded, too. If the message is in the consumer's inbox, redelivering
        makes its row pending and due, with no attempts counted, and the message is "redelivered" at once. Discarding
        removes the row, so that its lane goes on.
        """
        ...

    def redelivering(self, consumers: Sequence[str], limit: int, after: str = "") -> list[UnmatchedRow]:
        """Return the messages of these consumers that are to be routed again, oldest first, after an unmatched id.

        Their `message` is left empty to keep the answer small; `unmatched` returns it.
        """
        ...
