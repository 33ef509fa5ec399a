"""The port to the database of a projection, which need not be that of the sagas: its tables, and how far it has read.

All calls block. Times are integer microseconds since the epoch. A projection has generations: each is a set of tables
of its own, with a position of its own. Readers see the one that is live.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

from msgspec import Struct

from sagalog.store.rows import StatusRow, StoredEvent

# "aside": only compared with the live one, and then removed. The last one that was removed stays as a row, so that no
# number is given twice.
GenerationStatus = Literal["live", "building", "old", "aside", "removed"]


class ProjectionRow(Struct, frozen=True):
    """One row of `saga_projections`: a generation of a projection, and how far it has read the log.

    `made` is a JSON list of the [kind, name] of what it has made. `head` is the end of the log when it was last read.
    `failed_position` is that of the event at which it stopped.
    """

    projection: str
    generation: int
    version: int
    digest: str
    status: GenerationStatus
    made: str
    begins_after: int
    position: int
    reflects: int | None
    events: int
    head: int
    created_at: int
    updated_at: int
    switched_at: int | None = None
    paused_at: int | None = None
    paused_by: str | None = None
    paused_reason: str | None = None
    failed_position: int | None = None
    failures: int = 0
    failed_at: int | None = None
    error_type: str | None = None
    error_text: str | None = None


class ParkedEvent(Struct, frozen=True):
    """One row of `saga_projection_events`: an event that is not in the tables yet, and why.

    `status` is "retrying", "parked" (a person must decide) or "waiting" (behind an earlier one of its lane).
    """

    projection: str
    generation: int
    position: int
    lane: str
    event: str
    saga_id: str | None
    status: Literal["retrying", "parked", "waiting"]
    attempts: int
    due_at: int
    error_type: str | None
    error_text: str | None
    parked_at: int


class Log(Protocol):
    """What projections read of the log: a store, or what a transaction that writes to it sees."""

    def read_log(self, after: int, limit: int) -> list[StoredEvent]:
        """Return the next events of all streams above position `after`."""
        ...

    def head(self) -> int:
        """Return the position of the last event in the log."""
        ...

    def statuses(self, saga_ids: Sequence[str]) -> dict[str, StatusRow]:
        """Return the rows of those sagas that exist."""
        ...


class ProjectionTransaction(Protocol):
    """One transaction on the database of a projection."""

    with_percent: bool
    connection: Any

    def run(self, sql: str, values: Mapping[str, Any]) -> None:
        """Run a statement; an error may be raised later, by a statement that is waited for."""
        ...

    def rows(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run a statement and return the rows that it gives."""
        ...

    def columns(self, table: str) -> list[str]:
        """Return the names of a table's columns, in their order."""
        ...

    def every_row(self, table: str) -> Iterator[tuple[Any, ...]]:
        """Yield all rows of a table, of which only some are held in memory."""
        ...

    def is_lost(self, problem: Exception) -> bool:
        """Tell whether an error says that the database does not answer, or not to this role."""
        ...

    def part(self) -> AbstractContextManager[None]:
        """Begin a part that can fail by itself: an error undoes only what the part has written."""
        ...

    def together(self) -> AbstractContextManager[None]:
        """Begin a part as `part` does, with parts in it that fail with the whole; errors may be raised at its end."""
        ...

    def handlers(self) -> AbstractContextManager[None]:
        """Let handlers run within; what of theirs would end the transaction is refused where the database can do so."""
        ...

    def goes_on(self) -> bool:
        """Tell whether what was written before can still be committed, after a part has failed."""
        ...

    def many(self) -> AbstractContextManager[Any]:
        """Begin many statements, whose errors may be raised at the end only."""
        ...

    def generations(self, projection: str | None = None) -> list[ProjectionRow]:
        """Return the generations of a projection, or of all, oldest first."""
        ...

    def lock(self, projection: str, generation: int, *, wait: bool) -> ProjectionRow | None:
        """Lock a generation until the end and return it; None if it is gone, or locked and `wait` is False."""
        ...

    def lock_name(self, projection: str) -> None:
        """Wait until no other transaction makes, switches or removes generations of this projection."""
        ...

    def lock_live(self, projection: str) -> ProjectionRow | None:
        """Lock the generation that readers see, and return it; None if there is none, or somebody else has it."""
        ...

    def lock_log(self) -> None:
        """Let nobody else write to the log until the end; only for a projection in the database of the sagas."""
        ...

    def write(self, row: ProjectionRow) -> None:
        """Write a generation's row, new or not."""
        ...

    def remove(self, projection: str, generation: int) -> None:
        """Let a generation be removed, with its parked events; its tables are dropped by `drop`."""
        ...

    def parked(self, projection: str, generation: int, lane: str | None = None) -> list[ParkedEvent]:
        """Return the parked events of a generation, or of one lane of it, in the order of positions."""
        ...

    def first_parked(self, projection: str, generation: int) -> list[ParkedEvent]:
        """Return the first parked event of each lane."""
        ...

    def park(self, events: Sequence[ParkedEvent]) -> None:
        """Write parked events, new or not."""
        ...

    def unpark(self, projection: str, generation: int, positions: Sequence[int]) -> None:
        """Remove parked events that are in the tables now."""
        ...

    def is_taken(self, name: str) -> bool:
        """Tell whether something in the database has this name."""
        ...

    def show(self, names: Mapping[str, str], gone: Sequence[str]) -> None:
        """Let readers see tables: `names` are the views and the tables they show; views of `gone` are dropped."""
        ...

    def drop(self, made: Sequence[tuple[str, str]]) -> None:
        """Drop the (kind, name) of what was made, the last first."""
        ...


class ProjectionDatabase(Protocol):
    """A database that holds projections."""

    where: str

    def open(self) -> None:
        """Connect, and make `saga_projections` and `saga_projection_events` if they are missing."""
        ...

    def close(self) -> None:
        """Close every connection; it can be opened again."""
        ...

    def transaction(self) -> AbstractContextManager[ProjectionTransaction]:
        """Begin a transaction that is committed at the end; an error rolls it back. For one thread at a time."""
        ...

    def reading(self) -> AbstractContextManager[ProjectionTransaction]:
        """Begin a short transaction that only reads and disturbs no turn. For one thread at a time."""
        ...

    def snapshot(self) -> AbstractContextManager[ProjectionTransaction]:
        """Begin a transaction that only reads, and sees the database as it is now until its end."""
        ...
