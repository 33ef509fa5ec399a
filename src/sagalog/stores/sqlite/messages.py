"""The part of the SQLite store about messages, inboxes and consumers; it uses the store's file and transactions."""

import json
import sqlite3
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager

from sagalog.messages import Envelope
from sagalog.store import ConsumerRow, Posting, PostOutcome, Route, RouteOutcome, UnmatchedQuery
from sagalog.stores.queries import Queries
from sagalog.stores.sqlite.recorder import SagaRecorder
from sagalog.stores.sqlite.writing import SQL, last_position, reindex
from sagalog.stores.texts import check_postings, check_route, is_storable


class SQLiteMessages(Queries):
    """The methods of the port that write messages, inbox rows, and positions of consumers."""

    @property
    @abstractmethod
    def recorder(self) -> SagaRecorder:
        """Return the recorder."""

    @abstractmethod
    def _transaction(self, commit: bool) -> AbstractContextManager[sqlite3.Cursor]: ...

    @abstractmethod
    def _named_errors(self) -> AbstractContextManager[None]: ...

    def _block_for_unmatched(self, query: UnmatchedQuery) -> str:
        if query.unmatched_id is not None:
            return "unmatched_one"
        if query.correlation_id is not None:
            return "unmatched_correlated"
        # One consumer takes messages of few names, but a name may have many consumers.
        if query.name is not None:
            return "unmatched_named"
        return "unmatched" if query.consumer is None else "unmatched_consumed"

    def post(self, postings: Sequence[Posting]) -> list[PostOutcome]:
        """Write messages and changes of inbox rows, in one transaction."""
        check_postings(postings)
        with self._named_errors():
            return self.recorder.post(postings)

    def route(self, route: Route) -> RouteOutcome:
        """Write the results of a batch and move its consumers on."""
        check_route(route)
        with self._named_errors():
            return self.recorder.route(route)

    def take_consumers(self, worker_id: str, names: Sequence[str], now: int, from_now: bool) -> list[ConsumerRow]:
        """Give a worker those of these consumers that no live worker owns; if there are none, write nothing."""
        wanted = self._list(names)
        if self._look("takeable_consumers", names=wanted, worker_id=worker_id, now=now)[0][0]:
            with self._transaction(commit=True) as cursor:
                cursor.execute(SQL["forget_their_readers"], {"now": now, "names": wanted})
                begin = last_position(cursor) if from_now else 0
                cursor.execute(SQL["insert_consumers"], (begin, now, wanted))
                cursor.execute(SQL["take_consumers"], {"worker_id": worker_id, "now": now, "names": wanted})
        return [row for row in self.consumers() if row.owner == worker_id and row.consumer in names]

    def release_consumers(self, worker_id: str, names: Sequence[str]) -> None:
        """Give consumers back."""
        with self._transaction(commit=True) as cursor:
            cursor.execute(SQL["release_consumers"], (worker_id, json.dumps(list(names))))

    def settle_unmatched(self, unmatched_id: str, status: str, actor: str, reason: str, now: int) -> bool:
        """Write a person's decision about a parked message."""
        if not is_storable(unmatched_id):
            return False
        with self._transaction(commit=True) as cursor:
            place = cursor.execute(SQL["unsettled"], (unmatched_id, status)).fetchone()
            if place is None:
                return False
            if status == "discarded":
                cursor.execute(SQL["drop_parked"], tuple(place))
            elif cursor.execute(SQL["retry_parked"], (now, *place)).rowcount:
                status = "redelivered"
            cursor.execute(SQL["settle"], (status, actor, reason, now, unmatched_id))
        return True

    def reindex(self, after: int, upto: int, messages: Sequence[tuple[int, Envelope]]) -> None:
        """Replace the index of messages at these positions."""
        with self._transaction(commit=True) as cursor:
            reindex(cursor, after, upto, messages)
