"""What a store is asked for and told to write, as values, and what became of it. They know no store.

Times are integer microseconds since the epoch.
"""

from collections.abc import Sequence
from datetime import date
from difflib import get_close_matches
from typing import Literal, cast

from msgspec import Struct

from sagalog.errors import InvalidQuery
from sagalog.harmless import harmless
from sagalog.messages import Envelope
from sagalog.saga.transitions import STATUSES, Status
from sagalog.store.rows import (
    UNMATCHED_STATUSES,
    CommandRow,
    InboxRow,
    StatusRow,
    StepRow,
    UnmatchedRow,
    UnmatchedStatus,
)


class Note(Struct, frozen=True, gc=False):
    """Something that one saga tells another: it is put into the inbox of `recipient` (a saga id)."""

    recipient: str
    envelope: Envelope

    def row(self, position: int = 0) -> InboxRow:
        """Return the row of the inbox that it becomes; its lane is the recipient, as of all that a saga takes."""
        note = self.envelope
        return InboxRow(self.recipient, note.id, self.recipient, note.name, note.time, note.time, position=position)


class Append(Struct, frozen=True, gc=False):
    """Everything one decision writes, in one transaction with others or alone.

    `expected` is the version of the stream before it (0: the saga is new). `holder` is the worker that must own the
    saga for the append to be allowed (None: nobody may own it); `status.owner` is who owns it afterwards. `messages`
    says which of the events carry messages, by index; `taken` names the messages of the saga's inbox that it has taken.
    """

    saga_id: str
    expected: int
    events: Sequence[tuple[str, bytes]]
    status: StatusRow
    steps: Sequence[StepRow]
    holder: str | None
    messages: Sequence[tuple[int, Envelope]] = ()
    commands: Sequence[CommandRow] = ()
    taken: Sequence[str] = ()
    notes: Sequence[Note] = ()


# What became of an append: written; the version or the owner was another; a saga with that key was there already.
AppendOutcome = Literal["written", "conflict", "exists"]


class Posting(Struct, frozen=True, gc=False):
    """What is written without a saga: messages, and what became of one row of an inbox; all of it or nothing.

    `taken` is (recipient, message id) of a row that is done, `retry` a row as it is to be from now on. `delivered`
    names commands that were handed to somebody once more.
    """

    messages: Sequence[Envelope] = ()
    taken: tuple[str, str] | None = None
    retry: InboxRow | None = None
    parked: UnmatchedRow | None = None
    delivered: Sequence[str] = ()


# What became of a posting: written; its row of an inbox is gone, or was attempted more often.
PostOutcome = Literal["written", "conflict"]


class Advance(Struct, frozen=True, gc=False):
    """How far a consumer has come: from position `expected` to `position`. Only its owner may say so."""

    consumer: str
    worker_id: str
    expected: int
    position: int


class Route(Struct, frozen=True, gc=False):
    """What consumers make of a batch of messages, written in one transaction with their new positions.

    `redelivered` names rows of `saga_unmatched` that were routed again.
    """

    advances: Sequence[Advance]
    starts: Sequence[Append] = ()
    inbox: Sequence[InboxRow] = ()
    messages: Sequence[Envelope] = ()
    parked: Sequence[UnmatchedRow] = ()
    redelivered: Sequence[str] = ()


# Not written: a consumer has another position or owner ("conflict"), a key that was to start is taken ("exists").
RouteOutcome = Literal["written", "conflict", "exists"]


class Lease(Struct, frozen=True, gc=False):
    """A worker and until when the sagas that it owns are its own."""

    worker_id: str
    host: str
    pid: int
    started_at: int
    lease_until: int


class StoreOptions(Struct, frozen=True, kw_only=True):
    """How long a store waits for its database, in seconds, how many connections it reads with, what it may do there.

    Without `migrate` a database with an older schema is refused when it is opened, and none is made. With
    `reads_only` it is opened by a role that may do no more.
    """

    connect_timeout: float = 5.0
    statement_timeout: float = 10.0
    readers: int = 2
    migrate: bool = True
    reads_only: bool = False


class Query(Struct, frozen=True, kw_only=True):
    """What to look for in `saga_status`; None is "any". Rows come newest first, after `before` (a saga id).

    Raises `InvalidQuery` for what cannot be there.
    """

    saga_name: str | None = None
    statuses: Sequence[Status] = ()
    key: str | None = None
    error: str | None = None
    started_before: int | None = None
    started_after: int | None = None
    before: str | None = None
    limit: int = 50

    def __post_init__(self) -> None:
        """Refuse what would silently find nothing."""
        _check_statuses(self.statuses, STATUSES)
        for field in ("saga_name", "key", "error", "before"):
            _check_text(field, getattr(self, field))
        for field in ("started_before", "started_after"):
            check_number(field, getattr(self, field))
        check_number("limit", self.limit, 1, may_be_none=False)


class UnmatchedQuery(Struct, frozen=True, kw_only=True):
    """What to look for in `saga_unmatched`; rows come newest first, after `before` (an unmatched id).

    No `statuses` are any. Raises `InvalidQuery` for what cannot be there.
    """

    statuses: Sequence[UnmatchedStatus] = ("parked",)
    name: str | None = None
    consumer: str | None = None
    correlation_id: str | None = None
    unmatched_id: str | None = None
    before: str | None = None
    limit: int = 50

    def __post_init__(self) -> None:
        """Refuse what would silently find nothing."""
        _check_statuses(self.statuses, UNMATCHED_STATUSES)
        for field in ("name", "consumer", "correlation_id", "unmatched_id", "before"):
            _check_text(field, getattr(self, field))
        check_number("limit", self.limit, 1, may_be_none=False)


def _check_statuses(given: object, known: Sequence[str]) -> None:
    expected = f"statuses: expected a list of some of {', '.join(known)}"
    if isinstance(given, str | bytes) or not isinstance(given, Sequence | set | frozenset):
        raise InvalidQuery(f"{expected}, found {_shown(given)}; write {_advised(given, known)}")
    for one in cast("Sequence[object]", given):
        if one not in known:
            raise InvalidQuery(f"{expected}, found {_shown(one)} among them; write {_advised(one, known)}")


def _advised(given: object, known: Sequence[str]) -> str:
    """Return the list that was most likely meant, or an example: either is taken when it is written."""
    close = get_close_matches(given.lower(), known, 1) if isinstance(given, str) else []
    return repr(close) if close else f"for example {[known[-1]]}"


def _check_text(field: str, given: object) -> None:
    if given is not None and not isinstance(given, str):
        raise InvalidQuery(f"{field}: expected text, found {_shown(given)}")


def check_number(field: str, given: object, least: int | None = None, *, may_be_none: bool = True) -> None:
    """Raise `InvalidQuery` for what is no whole number that a store can hold."""
    if given is None and may_be_none:
        return
    expected = "microseconds since the epoch" if least is None else f"a whole number from {least} on"
    if type(given) is not int or (least is not None and given < least) or abs(given) >= 2**63:
        advice = "; of a datetime they are int(moment.timestamp() * 1_000_000)" if isinstance(given, date) else ""
        raise InvalidQuery(f"{field}: expected {expected}, found {_shown(given)}{advice}")


def _shown(value: object) -> str:
    try:
        return harmless(repr(value), 80)
    except Exception:
        # Whole numbers have a `repr` only up to a number of digits.
        return f"something of type {type(value).__name__} that cannot be shown"
