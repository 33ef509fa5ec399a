"""The part of the PostgreSQL store about messages, inboxes and consumers; it uses the store's connections."""

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager

from sagalog.messages import Envelope
from sagalog.store import ConsumerRow, Posting, PostOutcome, Route, RouteOutcome
from sagalog.stores.postgres.connection import BoundedConnection, Connections
from sagalog.stores.postgres.exchange import exchange
from sagalog.stores.postgres.recorder import SagaRecorder, write_postings, write_route
from sagalog.stores.postgres.writing import index
from sagalog.stores.queries import Queries
from sagalog.stores.texts import check_postings, check_route, is_storable


class PostgresMessages(Queries):
    """The methods of the port that write messages, inbox rows, and positions of consumers.

    Code that writes through this store knows what was written, so only listeners of other stores are notified.
    """

    _token: str

    @property
    @abstractmethod
    def recorder(self) -> SagaRecorder:
        """Return the recorder."""

    @abstractmethod
    def _named_errors(self) -> AbstractContextManager[Connections]: ...

    @abstractmethod
    def _transaction(self, seconds: float | None = None) -> AbstractContextManager[BoundedConnection]: ...

    def post(self, postings: Sequence[Posting]) -> list[PostOutcome]:
        """Write messages and changes of inbox rows, in one transaction and one round trip."""
        if not postings:
            return []
        check_postings(postings)
        with self._named_errors() as connections, connections.writer() as connection:
            return write_postings(self.recorder, connection, postings, self._token.encode())

    def route(self, route: Route) -> RouteOutcome:
        """Write the results of a batch and move its consumers on."""
        check_route(route)
        with self._named_errors() as connections, connections.writer() as connection:
            return write_route(self.recorder, connection, route, self._token.encode())

    def take_consumers(self, worker_id: str, names: Sequence[str], now: int, from_now: bool) -> list[ConsumerRow]:
        """Give a worker those of these consumers that no live worker owns; if there are none, write nothing."""
        wanted = self._list(names)
        if self._look("takeable_consumers", names=wanted, worker_id=worker_id, now=now)[0][0]:
            with self._transaction() as connection, connection.pipeline():
                connection.run("rows_soon")
                connection.run("forget_their_readers", (now, wanted))
                connection.run("insert_consumers", (wanted, from_now, now))
                connection.run("take_consumers", (wanted, worker_id, now))
        return [row for row in self.consumers() if row.owner == worker_id and row.consumer in wanted]

    def release_consumers(self, worker_id: str, names: Sequence[str]) -> None:
        """Give consumers back, and notify workers that may take them."""
        with self._transaction() as connection, connection.pipeline():
            connection.run("rows_soon")
            connection.run("release_consumers", (worker_id, list(names)))
            connection.run("notify", (self._token,))

    def settle_unmatched(self, unmatched_id: str, status: str, actor: str, reason: str, now: int) -> bool:
        """Write a person's decision about a parked message."""
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
        """Replace the index of messages at these positions."""
        with self._transaction() as connection:
            connection.run("lock_log")
            connection.run("rows_soon")
            connection.run("forget_messages", (after, upto))
            exchange(connection, [index(messages)])
