"""The port that every store implements, divided by roles. The contract's suite of tests is divided in the same way.

All calls block. Times are integer microseconds since the epoch. The suite is `sagalog.testing.contracts.store`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from sagalog.store.appending import Appending
from sagalog.store.claiming import Claiming
from sagalog.store.consumers import Consumers
from sagalog.store.finding import Finding
from sagalog.store.inbox import Inboxes
from sagalog.store.jobs import JobItemRow, JobItemStatus, JobRow, Jobs, JobStatus
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
    SilentWorker,
    StatusRow,
    StepRow,
    StoredEvent,
    UnmatchedRow,
    UnmatchedStatus,
)
from sagalog.store.selection import Selection

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
    "JobItemRow",
    "JobItemStatus",
    "JobRow",
    "JobStatus",
    "Lease",
    "Note",
    "PostOutcome",
    "Posting",
    "Query",
    "Route",
    "RouteOutcome",
    "Selection",
    "SilentWorker",
    "StatusRow",
    "StepRow",
    "Store",
    "StoreOptions",
    "StoredEvent",
    "UnmatchedQuery",
    "UnmatchedRow",
    "UnmatchedStatus",
]


class Store(Appending, Reading, Finding, Claiming, Leases, Messages, Inboxes, Consumers, Jobs, Protocol):
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

    def select(self, sql: str) -> AbstractContextManager[Selection]:
        """Run a query of a user, and give its answer, whose rows are read while they are taken.

        The database itself lets it do nothing but read, and nothing of it outlives the answer. Raises `QueryRefused`
        for SQL that is wrong or would do more, and `StoreUnavailable` if a page of rows takes longer than the store's
        time for a statement. Only stores with SQL support it.
        """
        ...

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Run a query as `select` does, and return its columns and rows; there may be 100,000 of them."""
        ...
