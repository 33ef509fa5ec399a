"""The part of the PostgreSQL store about messages, inboxes and consumers; its connections are the store's."""

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from msgspec.structs import astuple

from sagalog.messages import Envelope
from sagalog.store import (
    CommandRow,
    ConsumerRow,
    InboxRow,
    Posting,
    PostOutcome,
    Route,
    RouteOutcome,
    StatusRow,
    UnmatchedQuery,
    UnmatchedRow,
)
from sagalog.store.published import envelope_of, mail_of
from sagalog.stores.postgres.connection import BoundedConnection, Connections
from sagalog.stores.postgres.exchange import exchange
from sagalog.stores.postgres.recorder import write_postings, write_route
from sagalog.stores.postgres.writing import index
from sagalog.stores.texts import check_postings, check_route, is_storable, storable


class PostgresMessages:
    """Implement the methods of the port that a saga without messages does not need.

    Whoever writes through this store knows what was written: only listeners of other stores are called.
    """

    _token: str

    @abstractmethod
    def _named_errors(self) -> AbstractContextManager[Connections]: ...

    @abstractmethod
    def _transaction(self, seconds: float | None = None) -> AbstractContextManager[BoundedConnection]: ...

    @abstractmethod
    def _rows(
        self,
        name: str,
        parameters: Sequence[Any] = (),
        prepare: bool = True,
        scan: bool = False,
        soon: bool = False,
    ) -> list[tuple[Any, ...]]: ...

    def post(self, postings: Sequence[Posting]) -> list[PostOutcome]:
        """Write messages, and what became of rows of inboxes, in one transaction and one round trip."""
        if not postings:
            return []
        check_postings(postings)
        with self._named_errors() as connections, connections.writer() as connection:
            return write_postings(connection, postings, self._token.encode())

    def route(self, route: Route) -> RouteOutcome:
        """Move consumers on and write what they made of a batch."""
        check_route(route)
        with self._named_errors() as connections, connections.writer() as connection:
            return write_route(connection, route, self._token.encode())

    def take_consumers(self, worker_id: str, names: Sequence[str], now: int, from_now: bool) -> list[ConsumerRow]:
        """Give consumers that no live worker owns to a worker; a look that finds none writes nothing."""
        wanted = list(names)
        if self._rows("takeable_consumers", (wanted, worker_id, now))[0][0]:
            with self._transaction() as connection, connection.pipeline():
                connection.run("rows_soon")
                connection.run("forget_their_readers", (now, wanted))
                connection.run("insert_consumers", (wanted, from_now, now))
                connection.run("take_consumers", (wanted, worker_id, now))
        return [row for row in self.consumers() if row.owner == worker_id and row.consumer in wanted]

    def release_consumers(self, worker_id: str, names: Sequence[str]) -> None:
        """Give consumers back, and wake those who may take them."""
        with self._transaction() as connection, connection.pipeline():
            connection.run("rows_soon")
            connection.run("release_consumers", (worker_id, list(names)))
            connection.run("notify", (self._token,))

    def consumers(self) -> list[ConsumerRow]:
        """Return every consumer, by name."""
        return [ConsumerRow(*row) for row in self._rows("consumers")]

    def read_messages(self, after: int, limit: int) -> list[tuple[int, Envelope]]:
        """Return messages above position `after`."""
        return [(row[0], _envelope(row)) for row in self._rows("read_messages", (after, limit))]

    def messages_of(self, correlation_ids: Sequence[str]) -> list[tuple[int, Envelope]]:
        """Return the messages with these correlation ids."""
        return [(row[0], _envelope(row)) for row in self._rows("messages_of", (storable(correlation_ids),))]

    def find_message(self, message_id: str) -> tuple[int, Envelope] | None:
        """Return a message where it first stands in the log."""
        rows = self._rows("find_message", (message_id,))
        return (rows[0][0], _envelope(rows[0])) if rows else None

    def commands(self, command_ids: Sequence[str]) -> dict[str, CommandRow]:
        """Return the rows of those commands that sagas have issued."""
        return {row[0]: CommandRow(*row) for row in self._rows("commands", (storable(command_ids),))}

    def commands_of(self, saga_id: str) -> list[CommandRow]:
        """Return the commands that a saga has issued."""
        return [CommandRow(*row) for row in self._rows("commands_of", (saga_id,))]

    def sagas_by_key(self, saga_name: str, keys: Sequence[str]) -> dict[str, StatusRow]:
        """Return the newest run of each of these keys that has one."""
        rows = [StatusRow(*row) for row in self._rows("sagas_by_key", (saga_name, storable(keys)))]
        return {row.saga_key: row for row in rows}

    def sagas_by_correlation(self, saga_name: str | None, correlation_ids: Sequence[str]) -> list[StatusRow]:
        """Return the sagas with these correlation ids."""
        rows = self._rows("sagas_by_correlation", (saga_name, storable(correlation_ids)))
        return [StatusRow(*row) for row in rows]

    def mail(self, worker_id: str, limit: int, but: Sequence[str] = ()) -> list[tuple[InboxRow, Envelope]]:
        """Return what is in the inboxes of the sagas that a worker owns."""
        # Sagas that have none wait for the answer.
        return [mail_of(row) for row in self._rows("mail", (worker_id, limit, list(but)), soon=True)]

    def mailed(self, worker_id: str, limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of the sagas of a worker that have mail."""
        return [row[0] for row in self._rows("mailed", (worker_id, limit, list(but)), soon=True)]

    def inbox(self, recipient: str, now: int, limit: int) -> list[tuple[InboxRow, Envelope]]:
        """Return the first row of each lane of a recipient, if it is pending and due."""
        return [mail_of(row) for row in self._rows("inbox", (recipient, now, limit))]

    def unmatched(self, query: UnmatchedQuery) -> list[UnmatchedRow]:
        """Return the messages nobody could take that match."""
        wanted = (list(query.statuses) or None, *astuple(query)[1:])
        return [UnmatchedRow(*row) for row in self._rows("unmatched", wanted, prepare=False)]

    def settle_unmatched(self, unmatched_id: str, status: str, actor: str, reason: str, now: int) -> bool:
        """Write what a person decided about a message that is parked."""
        if not is_storable(unmatched_id):
            return False
        with self._transaction() as connection:
            connection.run("lock_log")
            connection.run("rows_soon")
            place = connection.rows("unsettled", (unmatched_id, status))
            if not place:
                return False
            if status == "discarded":
                connection.run("drop_parked", place[0])
            elif connection.run("retry_parked", (*place[0], now)).rowcount:
                status = "redelivered"
            connection.run("settle", (status, actor, reason, now, unmatched_id))
            connection.run("notify", ("",))
        return True

    def reindex(self, after: int, upto: int, messages: Sequence[tuple[int, Envelope]]) -> None:
        """Replace which messages there are at these positions."""
        with self._transaction() as connection:
            connection.run("lock_log")
            connection.run("rows_soon")
            connection.run("forget_messages", (after, upto))
            exchange(connection, [index(messages)])

    def redelivering(self, consumers: Sequence[str], limit: int, after: str = "") -> list[UnmatchedRow]:
        """Return the messages of these consumers that are to be routed again."""
        return [UnmatchedRow(*row) for row in self._rows("redelivering", (storable(consumers), limit, after))]


def _envelope(row: Sequence[Any]) -> Envelope:
    return envelope_of(*tuple(row))
