"""The port every store implements. All calls block.

Times are integer microseconds since the epoch. One contract suite (`sagalog.testing`) holds every implementation.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sagalog.messages import Envelope
from sagalog.store.rows import (
    UNMATCHED_STATUSES,
    Advance,
    Append,
    AppendOutcome,
    CommandRow,
    ConsumerRow,
    HeldLease,
    InboxRow,
    Lease,
    Note,
    Posting,
    PostOutcome,
    Query,
    Route,
    RouteOutcome,
    StatusRow,
    StepRow,
    StoredEvent,
    StoreOptions,
    UnmatchedQuery,
    UnmatchedRow,
    UnmatchedStatus,
)

__all__ = [
    "UNMATCHED_STATUSES",
    "Advance",
    "Append",
    "AppendOutcome",
    "CommandRow",
    "ConsumerRow",
    "HeldLease",
    "InboxRow",
    "Lease",
    "Note",
    "PostOutcome",
    "Posting",
    "Query",
    "Route",
    "RouteOutcome",
    "StatusRow",
    "StepRow",
    "Store",
    "StoreOptions",
    "StoredEvent",
    "UnmatchedQuery",
    "UnmatchedRow",
    "UnmatchedStatus",
]


class Store(Protocol):
    """Keep sagas: append decisions, give streams back, and hand out sagas to workers."""

    name: str

    def open(self) -> None:
        """Connect and check the schema; raises `StoreUnavailable`, `SchemaTooNew` or `SchemaTooOld`."""
        ...

    def close(self) -> None:
        """Give every connection back; the store can be opened again."""
        ...

    def append(self, appends: Sequence[Append]) -> list[AppendOutcome]:
        """Write all that can be written in one durable transaction; a conflict fails only its own append.

        An append that had landed before (its acknowledgement was lost) counts as written. Raises `StoreUnavailable`
        when nobody knows whether it was written: appending the same again is safe. Each append has an event at least;
        its messages, commands and notes are written, and what it has taken leaves the inbox, with its events or not at
        all. A message that is taken but is not in the inbox (any more) is a conflict.
        """
        ...

    def read(self, saga_id: str, after: int = 0) -> list[StoredEvent]:
        """Return the saga's events above version `after`, in order; empty if there is no such saga."""
        ...

    def read_many(self, saga_ids: Sequence[str]) -> dict[str, list[StoredEvent]]:
        """Return the events of several sagas at once."""
        ...

    def read_log(self, after: int, limit: int) -> list[StoredEvent]:
        """Return events of all sagas above position `after`, in order. Never passes one that is committed later."""
        ...

    def status(self, saga_id: str) -> StatusRow | None:
        """Return a saga's row."""
        ...

    def statuses(self, saga_ids: Sequence[str]) -> dict[str, StatusRow]:
        """Return the rows of those sagas that exist."""
        ...

    def latest_run(self, saga_name: str, key: str) -> StatusRow | None:
        """Return the newest run of a key."""
        ...

    def find(self, query: Query) -> list[StatusRow]:
        """Return the rows that match, newest first."""
        ...

    def steps(self, saga_id: str) -> list[StepRow]:
        """Return a saga's step rows in the order in which they began."""
        ...

    def counts(self) -> list[tuple[str, str, int]]:
        """Return (saga name, status, number of sagas)."""
        ...

    def unloaded(self, definitions: Sequence[str]) -> list[tuple[str, int, str, int]]:
        """Return (name, version, digest, number) of the sagas not ended whose definition is none of `definitions`."""
        ...

    def register(self, lease: Lease) -> None:
        """Begin a worker's lease."""
        ...

    def renew(self, worker_id: str, until: int) -> bool:
        """Extend a worker's lease; False if it was taken away, and with it every saga that the worker owned."""
        ...

    def leases(self) -> list[HeldLease]:
        """Return the leases of all workers."""
        ...

    def end_lease(self, lease: HeldLease) -> None:
        """Take a lease away, unless it has been renewed since it was seen so."""
        ...

    def claim(
        self, worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()
    ) -> list[StatusRow]:
        """Give up to `limit` sagas that nobody owns to a worker: those that are due, and those that have mail.

        A saga with a row in its inbox is given whatever its status is and whenever it is due. Those of `but` are left
        to others.
        """
        ...

    def claim_due(
        self, worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()
    ) -> list[StatusRow]:
        """Give what `claim` gives because it is due; what is wrong with anybody's mail is of no interest."""
        ...

    def claim_one(self, worker_id: str, saga_id: str, now: int) -> bool:
        """Give one saga to a worker whether it is due or not; False if a live worker owns it or it does not exist."""
        ...

    def due(self, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of up to `limit` sagas that `claim` would give because they are due, the oldest first."""
        ...

    def with_mail(self, definitions: Sequence[str], limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of up to `limit` sagas that `claim` would give because they have mail, the oldest first."""
        ...

    def free(self, now: int, but: Sequence[str] = ()) -> None:
        """Take their leases and some sagas from workers that are dead by `now`; those of `but` are left as they are.

        With its lease a worker loses whatever it owns, and is told when it renews. Who has no lease, having lost it
        without being told yet, counts as dead. Consumers of the dead stay theirs until somebody takes them.
        """
        ...

    def lost(self, now: int, limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of sagas that `free` would free: up to `limit`, or up to `limit` of each owner."""
        ...

    def free_these(self, now: int, saga_ids: Sequence[str]) -> None:
        """Free those of these sagas whose owners are dead by `now`, with the leases of these owners only."""
        ...

    def owned(self, worker_id: str) -> list[str]:
        """Return the ids of the sagas that a worker owns: after a claim without an answer it has to ask."""
        ...

    def release(self, worker_id: str, saga_ids: Sequence[str] | None = None) -> None:
        """Give sagas back: those named, or all of the worker's, with its consumers and its lease."""
        ...

    def post(self, postings: Sequence[Posting]) -> list[PostOutcome]:
        """Write messages, and what became of rows of inboxes, in one durable transaction; each posting wholly or not.

        A message whose id is in the log already, as an event or as a saga's command, is passed over: posting the same
        again is safe, and a posting without `taken` and `retry` is always "written". "conflict": the row that was taken
        or is to be retried is gone, or has been attempted more often than `retry` knows; nothing of that posting is
        written. A row of `parked` replaces the one for the same consumer and message, and keeps its id. Raises
        `InvalidIdentifier` for a text with NUL or lone surrogates, as `route` does; nothing is written.
        """
        ...

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

    def read_messages(self, after: int, limit: int) -> list[tuple[int, Envelope]]:
        """Return messages above position `after` with their positions, in order. Never passes one committed later."""
        ...

    def messages_of(self, correlation_ids: Sequence[str]) -> list[tuple[int, Envelope]]:
        """Return the messages with these correlation ids in the order of their positions."""
        ...

    def find_message(self, message_id: str) -> tuple[int, Envelope] | None:
        """Return a message where it first stands in the log."""
        ...

    def commands(self, command_ids: Sequence[str]) -> dict[str, CommandRow]:
        """Return the rows of those commands that sagas have issued."""
        ...

    def commands_of(self, saga_id: str) -> list[CommandRow]:
        """Return the commands that a saga has issued, in the order in which it did."""
        ...

    def sagas_by_key(self, saga_name: str, keys: Sequence[str]) -> dict[str, StatusRow]:
        """Return the newest run of each of these keys that has one."""
        ...

    def sagas_by_correlation(self, saga_name: str | None, correlation_ids: Sequence[str]) -> list[StatusRow]:
        """Return the sagas with these correlation ids, ended or not, oldest first; `saga_name` None is any."""
        ...

    def mail(self, worker_id: str, limit: int, but: Sequence[str] = ()) -> list[tuple[InboxRow, Envelope]]:
        """Return what is in the inboxes of the sagas that a worker owns, but these, in the order of positions."""
        ...

    def mailed(self, worker_id: str, limit: int, but: Sequence[str] = ()) -> list[str]:
        """Return the ids of up to `limit` sagas for which `mail` has something, who has waited longest first."""
        ...

    def inbox(self, recipient: str, now: int, limit: int) -> list[tuple[InboxRow, Envelope]]:
        """Return the first row of each lane of a recipient, if it is pending and due, in the order of positions."""
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

    def rewrite(self, rows: Sequence[StatusRow], steps: Sequence[StepRow], commands: Sequence[CommandRow] = ()) -> None:
        """Replace the read model's rows of these sagas by what was computed from the log.

        Who owns a saga and how often a command was delivered stay as they are: the log does not say.
        """
        ...

    def reindex(self, after: int, upto: int, messages: Sequence[tuple[int, Envelope]]) -> None:
        """Replace which messages there are above position `after`, up to `upto`, by what was computed from the log."""
        ...

    def watch(self, hint: Callable[[], None]) -> Callable[[], None]:
        """Call `hint` (from any thread) when there may be news; returns how to stop. A hint may be lost."""
        ...

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Run one read-only SQL query and return its columns and rows (stores that speak SQL)."""
        ...
