"""A bank with a database of its own, SQLite or PostgreSQL, that pays once and refunds once through the participant kit.

It is what a service written with the kit looks like; it knows nothing of the sagas that send it commands.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec import Raw

from sagalog import Command, Event, Refused
from sagalog.codec import encode_json
from sagalog.messages import Envelope, name_of
from sagalog.participant_kit import ParticipantKit
from sagalog.stores.sql import statements

SQL = statements("tests.support.sagas", "bank.sql")


class ProcessPayment(Command):
    order_id: str


class RefundPayment(Command):
    order_id: str


class PaymentProcessed(Event):
    order_id: str


class PaymentRefunded(Event):
    order_id: str


class NothingToRefund(Event):
    order_id: str


def pay_command(order: str, number: int = 1) -> Envelope:
    """Return the command that a saga sends to have an order paid, of its first round or of a later one."""
    suffix = "" if number == 1 else f":{number}"
    return command(f"{order}:pay{suffix}", order, ProcessPayment(order_id=order))


def refund_command(order: str, number: int = 1) -> Envelope:
    """Return the command that undoes the payment."""
    suffix = "" if number == 1 else f":{number}"
    return command(f"{order}:pay:undo{suffix}", order, RefundPayment(order_id=order))


def command(command_id: str, order: str, body: Command) -> Envelope:
    return Envelope(
        id=command_id,
        kind="command",
        name=name_of(type(body)),
        source="order-fulfilment",
        correlation_id=order,
        time=1,
        data=Raw(encode_json(body)),
        saga_id=order,
        step="pay",
    )


class Bank:
    """One connection of a bank."""

    def __init__(self, connection: Any, kit: ParticipantKit) -> None:
        self.connection = connection
        self.kit = kit
        self.dialect = "sqlite" if isinstance(connection, sqlite3.Connection) else "postgres"
        connection.execute(SQL[f"hurry_{self.dialect}"])
        connection.commit()

    def create(self) -> None:
        self.kit.create(self.connection)
        self.connection.execute(SQL["create"])
        self.connection.execute(SQL["index"])
        self.connection.commit()

    def write(self, what: str, order: str) -> None:
        self.connection.execute(SQL[f"{what}_{self.dialect}"], {"order_id": order})

    def pay(self, message: Envelope, then: Callable[[], None] = lambda: None) -> list[Envelope]:
        """Handle a payment; `then` is done in the middle, once the money has moved."""
        order = message.correlation_id

        def do() -> PaymentProcessed:
            self.write("pay", order)
            then()
            return PaymentProcessed(order_id=order)

        return self.kit.handle(self.connection, message, do)

    def refund(self, message: Envelope, then: Callable[[], None] = lambda: None) -> list[Envelope]:
        order = message.correlation_id

        def do() -> PaymentRefunded:
            self.write("refund", order)
            then()
            return PaymentRefunded(order_id=order)

        return self.kit.handle(self.connection, message, do, nothing_to_undo=lambda: NothingToRefund(order_id=order))

    def rows(self, query: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(SQL[query], parameters or {})
        found = [tuple(row) for row in cursor.fetchall()]
        self.connection.commit()
        return found

    def entries(self, order: str | None = None) -> Counter[int]:
        """Return how often an order was paid (1) and refunded (-1)."""
        if order is None:
            return Counter(money for _, money in self.rows("entries"))
        return Counter(money for _, money in self.rows(f"entries_of_{self.dialect}", {"order_id": order}))

    def status(self, order: str) -> str | None:
        return {row[0]: row[1] for row in self.rows("inbox")}.get(f"{order}:pay")


def refuse() -> None:
    raise Refused("the account is closed")


def fail() -> None:
    raise ConnectionError("the bank is down")


Connect = Callable[[], Bank]


@contextmanager
def banks(kind: str, address: str) -> Generator[Connect]:
    """Give what opens one more connection to a bank, each closed at the end."""
    opened: list[Any] = []
    kit = ParticipantKit("bank")

    def connect() -> Bank:
        if kind == "sqlite":
            connection: Any = sqlite3.connect(address, timeout=30, check_same_thread=False)
        else:
            connection = psycopg.connect(address)
        opened.append(connection)
        return Bank(connection, kit)

    try:
        connect().create()
        yield connect
    finally:
        for connection in opened:
            connection.close()


KINDS = [pytest.param("sqlite", id="sqlite"), pytest.param("postgres", id="postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=KINDS)
def each_bank_address(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The kind and the address of an empty database of a bank."""
    kind = str(request.param)
    return kind, str(tmp_path / "bank.db") if kind == "sqlite" else str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def each_bank(each_bank_address: tuple[str, str]) -> Generator[Connect]:
    """What opens a connection to a new bank, of each kind."""
    with banks(*each_bank_address) as connect:
        yield connect
