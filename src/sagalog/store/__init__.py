"""The port that every store implements, divided by roles. The contract's suite of tests is divided in the same way.

All calls block. Times are integer microseconds since the epoch. The suite is `sagalog.testing.contracts.store`.
"""

from collections.abc import Callable
from typing import Any, Protocol

from sagalog.store.appending import Appending
from sagalog.store.claiming import Claiming
from sagalog.store.consumers import Consumers
from sagalog.store.finding import Finding
from sagalog.store.inbox import Inboxes
from sagalog.store.leases import Leases
from sagalog.store.messages import Messages
from sagalog.store.reading import Reading
from sagalog.store.requests import (
    Advance,
    Append,
    AppendOutcome,
    Lease,
    Note,
    Posting,
    PostOutcome,
    Query,
    Route,
    RouteOutcome,
    StoreOptions,
    UnmatchedQuery,
)
from sagalog.store.rows import (
    UNMATCHED_STATUSES,
    AttributeRow,
    CommandRow,
    ConsumerRow,
    HeldLease,
    InboxRow,
    StatusRow,
    StepRow,
    StoredEvent,
    UnmatchedRow,
    UnmatchedStatus,
)

__all__ = [
    "UNMATCHED_STATUSES",
    "Advance",
    "Append",
    "AppendOutcome",
    "AttributeRow",
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


class Store(Appending, Reading, Finding, Claiming, Leases, Messages, Inboxes, Consumers, Protocol):
    """All roles of a store, and the store as a whole: opened, closed, watched, and queried in SQL."""

    name: str

    def open(self) -> None:
        """Connect and check the schema; raises `StoreUnavailable`, `SchemaTooNew` or `SchemaTooOld`."""
        ...

    def close(self) -> None:
        """Close every connection; the store can be opened again."""
        ...

    def watch(self, hint: Callable[[], None]) -> Callable[[], None]:
        """Call `hint` (from any thread) when there may be news; return a function that stops it. Hints may be lost."""
        ...

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Run one read-only SQL query and return its columns and rows; only stores with SQL support it."""
        ...
