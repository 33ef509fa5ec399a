"""The test kit for projections: a handler that looks at anything but its event fails its test."""

import asyncio
import datetime as dt
import os
import random
import secrets
import socket
import sqlite3
import time
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from time import time as now_under_another_name

import pytest
from databases.stores import opened
from read_models.order_book import BOOK, Order, order_book, sold

from sagalog.projections import Metadata, SagaHappening, Tables
from sagalog.testing.read_models import ForgottenInPart, ImpureHandler, projected

LOOKS: dict[str, Callable[[], object]] = {
    "time.time": time.time,
    "a clock under another name": now_under_another_name,
    "time.monotonic": time.monotonic,
    "datetime.now": lambda: dt.datetime.now(dt.UTC),
    "date.today": dt.date.today,
    "random.random": random.random,
    "random.choice": lambda: random.choice([1, 2]),
    "secrets": lambda: secrets.token_hex(2),
    "uuid4": uuid.uuid4,
    "uuid1": uuid.uuid1,
    "os.urandom": lambda: os.urandom(1),
    "a socket": lambda: socket.create_connection(("127.0.0.1", 9)),
    "a name": lambda: socket.getaddrinfo("localhost", 80),
    "a web page": lambda: urllib.request.urlopen("http://127.0.0.1:9/"),
    "a file": lambda: Path(__file__).read_text(),
    "sleep": lambda: time.sleep(0),
}


@pytest.fixture(scope="module")
def sold_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    address = f"sqlite:///{tmp_path_factory.mktemp('sold')}/sagas.db"
    asyncio.run(sold(address, [Order("o-1"), Order("o-2", refused=True)]))
    return address


@pytest.mark.parametrize("look", LOOKS)
def test_a_handler_that_looks_elsewhere_fails_its_test(look: str, sold_file: str) -> None:
    """Invariant 38: a rebuild reads no clock and no random number, and sends nothing."""

    def careless(metadata: Metadata, tables: Tables) -> None:
        LOOKS[look]()

    with opened(sold_file) as store, pytest.raises(ImpureHandler, match="may look at nothing but its event"):
        projected(order_book(careless), store)


def test_a_handler_that_only_looks_at_its_event_passes_and_its_rows_can_be_asserted(sold_file: str) -> None:
    def careful(metadata: Metadata, tables: Tables) -> None:
        assert metadata.at.year == dt.datetime.fromtimestamp(metadata.time / 1e6, dt.UTC).year

    with opened(sold_file) as store:
        rows = projected(order_book(careful), store)
    assert {(row["order_id"], row["status"]) for row in rows["orders"]} == {("o-1", "completed"), ("o-2", "failed")}
    assert rows["balances"] == [{"order_id": "o-1", "cents": 100}, {"order_id": "o-2", "cents": 0}]


@pytest.mark.postgres
def test_what_the_database_needs_is_not_the_handlers_doing(sold_file: str, postgres_url: str) -> None:
    with opened(sold_file) as store:
        assert len(projected(order_book(), store, postgres_url)["orders"]) == 2


def test_what_a_handler_raises_is_raised(sold_file: str) -> None:
    def broken(metadata: Metadata, tables: Tables) -> None:
        raise ValueError("a bug")

    with opened(sold_file) as store, pytest.raises(ValueError, match="a bug"):
        projected(order_book(broken), store)


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ("forget_money", "this row of money is left"),
        ("forget_order", "UNIQUE constraint failed"),
    ],
)
def test_rows_that_are_not_taken_out_fail_the_test_of_a_projection(sold_file: str, kept: str, said: str) -> None:
    """Each saga is rebuilt alone, too, where a projection says how; a table without a key would hold its rows twice."""
    book = order_book(sql=BOOK.replace("PRIMARY KEY (position, order_id)", "CHECK (position > 0)"), forgets=False)

    @book.forget
    def forgotten(_: SagaHappening, metadata: Metadata, tables: Tables) -> None:
        for one in {"forget_money", "forget_order"} - {kept}:
            tables.run(one, order_id=metadata.key)

    with opened(sold_file) as store, pytest.raises((ForgottenInPart, sqlite3.IntegrityError), match=said):
        projected(book, store)


def test_rows_of_others_that_are_taken_out_fail_it_too(sold_file: str) -> None:
    book = order_book()

    @book.forget
    def too_much(_: SagaHappening, __: Metadata, tables: Tables) -> None:
        tables.execute("DELETE FROM {money}")

    with opened(sold_file) as store, pytest.raises(ForgottenInPart, match="this row of money is gone"):
        projected(book, store)


def test_what_takes_rows_out_looks_at_nothing_else_either(sold_file: str) -> None:
    book = order_book()

    @book.forget
    def careless(_: SagaHappening) -> None:
        time.time()

    with opened(sold_file) as store, pytest.raises(ImpureHandler, match="may look at nothing but its event"):
        projected(book, store)
