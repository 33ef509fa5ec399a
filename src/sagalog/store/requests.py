"""What a store can be asked to find or write, and the outcomes, as values. They know no store.

Times are integer microseconds since the epoch.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from types import MappingProxyType
from typing import Literal, cast

from msgspec import Struct

from sagalog.errors import InvalidQuery
from sagalog.messages import Envelope
from sagalog.saga.options import shown
from sagalog.saga.transitions import STATUSES, Status
from sagalog.store.attributes import Condition, check_conditions
from sagalog.store.filters import Filter
from sagalog.store.rows import (
    UNMATCHED_STATUSES,
    AttributeRow,
    CommandRow,
    InboxRow,
    StatusRow,
    StepRow,
    UnmatchedRow,
    UnmatchedStatus,
)


class Note(Struct, frozen=True, gc=False):
    """A message from a saga to another one; it is put into the inbox of `recipient` (a saga id)."""

    recipient: str
    envelope: Envelope

    def row(self, position: int = 0) -> InboxRow:
        """Return the note as an inbox row; its lane is the recipient, as for everything that a saga takes."""
        note = self.envelope
        return InboxRow(self.recipient, note.id, self.recipient, note.name, note.time, note.time, position=position)


class Append(Struct, frozen=True, gc=False):
    """Everything that one decision writes, in one transaction, alone or with other decisions.

    `expected` is the version of the stream before it (0: the saga is new). `holder` is the worker that must own the
    saga for the append to be allowed (None: nobody may own it); `status.owner` owns it afterwards. `messages` are the
    messages among the events, each with the index of its event. `taken` are the ids of messages that it takes from the
    saga's inbox. `attributes` are those that were added or replaced, `forgotten` the names of those that were removed.
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
    attributes: Sequence[AttributeRow] = ()
    forgotten: Sequence[str] = ()


# The outcome of an append: written; another version or owner was found; a saga with that key was there already.
AppendOutcome = Literal["written", "conflict", "exists"]


class Posting(Struct, frozen=True, gc=False):
    """What is written without a saga: messages, and the change of one inbox row; all of it or nothing.

    `taken` is the (recipient, message id) of a row that is done. `retry` is a row as it is to be from now on.
    `delivered` names commands that were delivered once more.
    """

    messages: Sequence[Envelope] = ()
    taken: tuple[str, str] | None = None
    retry: InboxRow | None = None
    parked: UnmatchedRow | None = None
    delivered: Sequence[str] = ()


# The outcome of a posting: written; or its inbox row is gone or was attempted more often.
PostOutcome = Literal["written", "conflict"]


class Advance(Struct, frozen=True, gc=False):
    """A move of a consumer from position `expected` to `position`, allowed only to its owner."""

    consumer: str
    worker_id: str
    expected: int
    position: int


class Route(Struct, frozen=True, gc=False):
    """The results of a batch of messages, written in one transaction with the consumers' new positions.

    `starts` are sagas that begin, and what is to be written together with that or not at all.
    `redelivered` names rows of `saga_unmatched` that were routed again. `notes` are the messages among those of `inbox`
    that are not in the log, by their ids.
    """

    advances: Sequence[Advance]
    starts: Sequence[Append] = ()
    inbox: Sequence[InboxRow] = ()
    messages: Sequence[Envelope] = ()
    parked: Sequence[UnmatchedRow] = ()
    redelivered: Sequence[str] = ()
    notes: Mapping[str, Envelope] = MappingProxyType({})


# Otherwise not written: a consumer has another position or owner ("conflict"), or a key is taken ("exists").
RouteOutcome = Literal["written", "conflict", "exists"]


class Lease(Struct, frozen=True, gc=False):
    """A worker's lease: until `until` it owns its sagas."""

    worker_id: str
    host: str
    pid: int
    started_at: int
    lease_until: int


class StoreOptions(Struct, frozen=True, kw_only=True):
    """Options of a store: how long it waits for its database (seconds), its readers, and what it may change.

    With `migrate=False`, a database with an older schema is refused when it is opened, and no new one is made. With
    `reads_only`, the database role needs no right to write.
    """

    connect_timeout: float = 5.0
    statement_timeout: float = 10.0
    readers: int = 2
    migrate: bool = True
    reads_only: bool = False


class Query(Struct, frozen=True, kw_only=True):
    """What to look for in `saga_status`; None means any. Rows come newest first, after `before` (a saga id).

    `attributes` are conditions that all must be met, such as `("amount", ">=", 100)`. `where` is a filter as
    `store/where.py` reads it; it must be met, too.

    Raises `InvalidQuery` for values that no row can have.
    """

    saga_name: str | None = None
    statuses: Sequence[Status] = ()
    key: str | None = None
    error: str | None = None
    started_before: int | None = None
    started_after: int | None = None
    before: str | None = None
    limit: int = 50
    attributes: Sequence[Condition] = ()
    where: Filter | None = None

    def __post_init__(self) -> None:
        """Refuse values that would silently find nothing."""
        _check_statuses(self.statuses, STATUSES)
        for field in ("saga_name", "key", "error", "before"):
            _check_text(field, getattr(self, field))
        for field in ("started_before", "started_after"):
            check_number(field, getattr(self, field))
        check_number("limit", self.limit, 1, may_be_none=False)
        check_conditions(self.attributes)
        if self.where is not None and not isinstance(self.where, Filter):
            raise InvalidQuery(f"where: expected a filter that was read by parse(), found {shown(self.where)}")


class UnmatchedQuery(Struct, frozen=True, kw_only=True):
    """What to look for in `saga_unmatched`; rows come newest first, after `before` (an unmatched id).

    Empty `statuses` mean any status. Raises `InvalidQuery` for values that no row can have.
    """

    statuses: Sequence[UnmatchedStatus] = ("parked",)
    name: str | None = None
    consumer: str | None = None
    correlation_id: str | None = None
    unmatched_id: str | None = None
    before: str | None = None
    limit: int = 50

    def __post_init__(self) -> None:
        """Refuse values that would silently find nothing."""
        _check_statuses(self.statuses, UNMATCHED_STATUSES)
        for field in ("name", "consumer", "correlation_id", "unmatched_id", "before"):
            _check_text(field, getattr(self, field))
        check_number("limit", self.limit, 1, may_be_none=False)


def _check_statuses(given: object, known: Sequence[str]) -> None:
    expected = f"statuses: expected a list of some of {', '.join(known)}"
    if isinstance(given, str | bytes) or not isinstance(given, Sequence | set | frozenset):
        raise InvalidQuery(f"{expected}, found {shown(given)}; write {_advised(given, known)}")
    for one in cast("Sequence[object]", given):
        if one not in known:
            raise InvalidQuery(f"{expected}, found {shown(one)} among them; write {_advised(one, known)}")


def _advised(given: object, known: Sequence[str]) -> str:
    """Return advice with the list that was most likely meant, or an example, in the form to write it in."""
    close = get_close_matches(given.lower(), known, 1) if isinstance(given, str) else []
    return repr(close) if close else f"for example {[known[-1]]}"


def _check_text(field: str, given: object) -> None:
    if given is not None and not isinstance(given, str):
        raise InvalidQuery(f"{field}: expected text, found {shown(given)}")


def check_number(field: str, given: object, least: int | None = None, *, may_be_none: bool = True) -> None:
    """Raise `InvalidQuery` for anything but a whole number that a store can hold."""
    if given is None and may_be_none:
        return
    expected = "microseconds since the epoch" if least is None else f"a whole number from {least} on"
    if type(given) is not int or (least is not None and given < least) or abs(given) >= 2**63:
        advice = "; of a datetime they are int(moment.timestamp() * 1_000_000)" if isinstance(given, date) else ""
        raise InvalidQuery(f"{field}: expected {expected}, found {shown(given)}{advice}")
