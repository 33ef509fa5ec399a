"""What the four services share: a database, a clock and a ledger; it must not hold a business rule."""

import hashlib
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar, Self

import msgspec

from domain.database import Database
from domain.errors import KeyReused

Clock = Callable[[], datetime]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def wall_clock() -> datetime:
    """Read the machine's clock, in UTC."""
    return datetime.now(UTC)


def identity(prefix: str, key: str) -> str:
    """Derive an id from an idempotency key, so that asking again cannot make another one."""
    return f"{prefix}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a ledger: something that was really done, once for each time it was done."""

    key: str
    """The idempotency key of the call that did it."""
    operation: str
    undoes: str | None
    """The key of the effect that this one takes back."""
    order_id: str
    """Empty for what is no part of fulfilling an order, such as a delivery or goods that came back."""
    item: str
    """What was moved: a SKU, a card token, a destination; empty where there is only one kind."""
    amount: int
    """The signed change: pieces on hand, cents of balance, parcels under way, orders in the book."""
    happened_at: int
    """Microseconds since the epoch."""


class Service:
    """A service and its tables, in a database of its own or one shared with the others.

    A path is opened and closed by the service; an open `Database` stays open for its owner.
    Every operation is one transaction and safe to call from several threads and processes.
    """

    statements: ClassVar[Mapping[str, str]]

    def __init__(self, database: Database | str | Path, clock: Clock = wall_clock) -> None:
        self._owned = not isinstance(database, Database)
        self.database = database if isinstance(database, Database) else Database(database)
        self._clock = clock
        try:
            self.database.create(self.statements)
        except BaseException:
            self.close()
            raise

    def effects(self) -> list[Effect]:
        """Read the whole ledger, oldest first."""
        return [Effect(**dict(row)) for row in self.database.rows(self.statements["effects"])]

    def close(self) -> None:
        """Close the database if it was opened here; again is a no-op."""
        if self._owned:
            self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _now(self) -> int:
        return (self._clock() - _EPOCH) // timedelta(microseconds=1)

    def _find(
        self, connection: sqlite3.Connection, block: str, key: str, content: Mapping[str, object]
    ) -> sqlite3.Row | None:
        """Find what was decided under a key, and hold the caller to what it asked for then."""
        row: sqlite3.Row | None = connection.execute(self.statements[block], {"key": key}).fetchone()
        if row is not None and row["status"] != "void":
            require_same(key, row, content)
        return row

    def _record(
        self,
        connection: sqlite3.Connection,
        operation: str,
        *,
        key: str,
        order_id: str,
        amount: int,
        item: str = "",
        undoes: str | None = None,
    ) -> None:
        """Append to the ledger in the transaction that has the effect."""
        effect = Effect(
            key=key,
            operation=operation,
            undoes=undoes,
            order_id=order_id,
            item=item,
            amount=amount,
            happened_at=self._now(),
        )
        connection.execute(self.statements["append_effect"], msgspec.structs.asdict(effect))


def require_key(key: str) -> None:
    """Refuse a call without an identity: it could not be told from its own repetition."""
    if not key:
        raise ValueError("expected an idempotency key, found an empty one: pass the caller's key")


def require_same(key: str, row: sqlite3.Row, content: Mapping[str, object]) -> None:
    """Raise `KeyReused` if the row was written for other content than is asked for now."""
    for column, value in content.items():
        if row[column] != value:
            raise KeyReused(
                f"key {key!r} was first used with {column} {row[column]!r}, found {value!r}: "
                "give every operation a key of its own"
            )
