"""The part of the port about consumers: how far each has read, what it made of a batch, and what it could not use."""

from collections.abc import Sequence
from typing import Protocol

from sagalog.store.requests import Route, RouteOutcome, UnmatchedQuery
from sagalog.store.rows import ConsumerRow, UnmatchedRow


class Consumers(Protocol):
    """A store that consumers read by."""

    def route(self, route: Route) -> RouteOutcome:
        """Move consumers on and write what they made of a batch of messages, all of it or nothing.

        "conflict": a consumer has another position or owner than `advances` say, or a row of `redelivered` waits for
        that no more. "exists": the key of a start is taken. Rows of an inbox that are there already are left alone.
        After a lost acknowledgement the same route is a conflict: look where the consumers are.
        """
        ...

    def take_consumers(self, worker_id: str, names: Sequence[str], now: int, from_now: bool) -> list[ConsumerRow]:
        """Give those of these consumers that no live worker owns to a worker; return all of them that it owns now.

        A consumer that is new begins at the start of the log, or at its present end if `from_now`.
        """
        ...

    def release_consumers(self, worker_id: str, names: Sequence[str]) -> None:
        """Give back those of these consumers that this worker owns."""
        ...

    def consumers(self) -> list[ConsumerRow]:
        """Return every consumer, by name."""
        ...

    def unmatched(self, query: UnmatchedQuery) -> list[UnmatchedRow]:
        """Return the messages nobody could take that match, newest first."""
        ...

    def settle_unmatched(self, unmatched_id: str, status: str, actor: str, reason: str, now: int) -> bool:
        """Write what a person decided, "redelivering" or "discarded"; False if the message is not parked (any more).

        What is to be routed again and cannot be may be discarded, too.
        Where the consumer's inbox holds the message, redelivering makes that row pending and due with no attempts
        counted, and the message is "redelivered" at once; discarding removes it, so that its lane goes on.
        """
        ...

    def redelivering(self, consumers: Sequence[str], limit: int, after: str = "") -> list[UnmatchedRow]:
        """Return the messages of these consumers that are to be routed again, oldest first, after an unmatched id.

        The rows are there to be known and ordered by: their `message` is empty, and `unmatched` has it.
        """
        ...
