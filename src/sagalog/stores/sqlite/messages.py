"""The part of the SQLite store about messages, inboxes and consumers; the file and its transactions are the store's."""

import json
import sqlite3
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from msgspec.structs import asdict

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
from sagalog.stores.sqlite.recorder import SagaRecorder
from sagalog.stores.sqlite.writing import SQL, last_position, reindex
from sagalog.stores.texts import check_postings, check_route, is_storable, storable


class SQLiteMessages:
    """Implement the methods of the port that a saga without messages does not need."""

    @property
    @abstractmethod
    def recorder(self) -> SagaRecorder:
        """Return the recorder."""

    @abstractmethod
    def _transaction(self, commit: bool) -> AbstractContextManager[sqlite3.Cursor]: ...

    @abstractmethod
    def _named_errors(self) -> AbstractContextManager[None]: ...

    @abstractmethod
    def _rows(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]: ...

    def post(self, postings: Sequence[Posting]) -> list[PostOutcome]:
        """Write messages, and what became of rows of inboxes, in one transaction."""
        check_postings(postings)
        with self._named_errors():
            return self.recorder.post(postings)

    def route(self, route: Route) -> RouteOutcome:
        """Move consumers on and write what they made of a batch."""
        check_route(route)
        with self._named_errors():
            return self.recorder.route(route)

    def take_consumers(self, worker_id: str, names: Sequence[str], now: int, from_now: bool) -> list[ConsumerRow]:
        """Give consumers that no live worker owns to a worker; a look that finds none writes nothing."""
        wanted = json.dumps(list(names))
        if self._rows("takeable_consumers", (wanted, worker_id, now))[0][0]:
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

    def consumers(self) -> list[ConsumerRow]:
        """Return every consumer, by name."""
        return [ConsumerRow(*row) for row in self._rows("consumers")]

    def read_messages(self, after: int, limit: int) -> list[tuple[int, Envelope]]:
        """Return messages above position `after`."""
        return [(row[0], envelope_of(*row)) for row in self._rows("read_messages", (after, limit))]

    def messages_of(self, correlation_ids: Sequence[str]) -> list[tuple[int, Envelope]]:
        """Return the messages with these correlation ids."""
        rows = self._rows("messages_of", (json.dumps(storable(correlation_ids)),))
        return [(row[0], envelope_of(*row)) for row in rows]

    def find_message(self, message_id: str) -> tuple[int, Envelope] | None:
        """Return a message where it first stands in the log."""
        rows = self._rows("find_message", (message_id,))
        return (rows[0][0], envelope_of(*rows[0])) if rows else None

    def commands(self, command_ids: Sequence[str]) -> dict[str, CommandRow]:
        """Return the rows of those commands that sagas have issued."""
        return {row[0]: CommandRow(*row) for row in self._rows("commands", (json.dumps(storable(command_ids)),))}

    def commands_of(self, saga_id: str) -> list[CommandRow]:
        """Return the commands that a saga has issued."""
        return [CommandRow(*row) for row in self._rows("commands_of", (saga_id,))]

    def sagas_by_key(self, saga_name: str, keys: Sequence[str]) -> dict[str, StatusRow]:
        """Return the newest run of each of these keys that has one."""
        rows = [StatusRow(*row) for row in self._rows("sagas_by_key", (json.dumps(storable(keys)), saga_name))]
        # They come in the order of runs, so the newest is what stays.
        return {row.saga_key: row for row in rows}

    def sagas_by_correlation(self, saga_name: str | None, correlation_ids: Sequence[str]) -> list[StatusRow]:
        """Return the sagas with these correlation ids."""
        wanted = {"correlation_ids": json.dumps(storable(correlation_ids)), "saga_name": saga_name}
        return [StatusRow(*row) for row in self._rows("sagas_by_correlation", wanted)]

    def mail(self, worker_id: str, limit: int, but: Sequence[str] = ()) -> list[tuple[InboxRow, Envelope]]:
        """Return what is in the inboxes of the sagas that a worker owns."""
        return [mail_of(row) for row in self._rows("mail", (worker_id, json.dumps(list(but)), limit))]

    def mailed(self, worker_id: str, limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of the sagas of a worker that have mail."""
        return [row[0] for row in self._rows("mailed", (worker_id, json.dumps(list(but)), limit))]

    def inbox(self, recipient: str, now: int, limit: int) -> list[tuple[InboxRow, Envelope]]:
        """Return the first row of each lane of a recipient, if it is pending and due."""
        return [mail_of(row) for row in self._rows("inbox", (recipient, now, limit))]

    def unmatched(self, query: UnmatchedQuery) -> list[UnmatchedRow]:
        """Return the messages nobody could take that match."""
        wanted = asdict(query) | {"statuses": json.dumps(list(query.statuses)) if query.statuses else None}
        return [UnmatchedRow(*row) for row in self._rows("unmatched", wanted)]

    def settle_unmatched(self, unmatched_id: str, status: str, actor: str, reason: str, now: int) -> bool:
        """Write what a person decided about a message that is parked."""
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
        """Replace which messages there are at these positions."""
        with self._transaction(commit=True) as cursor:
            reindex(cursor, after, upto, messages)

    def redelivering(self, consumers: Sequence[str], limit: int, after: str = "") -> list[UnmatchedRow]:
        """Return the messages of these consumers that are to be routed again."""
        wanted = (json.dumps(storable(consumers)), after, limit)
        return [UnmatchedRow(*row) for row in self._rows("redelivering", wanted)]
