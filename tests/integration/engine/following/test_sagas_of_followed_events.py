"""From an application's log to the end of a saga, and from the command line: what is followed starts sagas once."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from followed.bookshop import HANDLERS, Bookshop, OrderPlaced, bookshop, order_id
from followed.following import Target, manager_of, numbers, position, until
from msgspec import Struct
from pages.command_line import write_app

from sagalog import Saga
from sagalog.cli.app import load


@pytest.fixture
def shop() -> Iterator[Bookshop]:
    """An application that keeps its log in memory."""
    with bookshop("popo") as application:
        yield application


AN_APP = """
from contextlib import contextmanager
from followed.bookshop import HANDLERS, Bookshop

sagas = []
shop = Bookshop()

@contextmanager
def services():
    yield {}

def follow(manager):
    manager.follow(shop, HANDLERS, name="books")
"""


def test_an_app_of_the_command_line_says_what_it_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    app = load(tmp_path, write_app(tmp_path, "app_that_follows", AN_APP))
    manager = app.process_manager("memory://", {})
    store = manager.store

    async def story() -> None:
        sys.modules["app_that_follows"].shop.place_many(range(3))
        async with manager:
            await until(lambda: position(store, "books") == 3)
        # Whoever only asks, or starts sagas for others to run, follows nothing.
        assert list(app.process_manager("memory://", {}, worker=False)._follows) == []

    asyncio.run(story())
    assert numbers(store) == [0, 1, 2]


class Fulfilment(Struct):
    order_id: str


def test_each_event_of_the_application_starts_one_saga_however_often_all_stops(
    shop: Bookshop, each_target: Target
) -> None:
    """Invariants 1, 2 and 7: from the application's log to the end of a saga, with every process stopped in between."""
    fulfilment = Saga("fulfilment", input=Fulfilment, key=lambda order: order.order_id)
    fulfilment.started_by(OrderPlaced, input=lambda e: Fulfilment(e.order_id), key=lambda e: e.order_id)
    packed: list[str] = []

    @fulfilment.step(compensation=None)
    async def pack(order: Fulfilment) -> None:
        packed.append(order.order_id)

    def reached(goal: int) -> Callable[[], bool]:
        return lambda: (position(each_target.eye) or 0) >= goal

    async def work_until(true: Callable[[], bool]) -> None:
        manager = manager_of(each_target.database, sagas=[fulfilment])
        manager.follow(shop, HANDLERS, batch=4)
        async with manager:
            await until(true)

    def completed() -> int:
        return sum(number for _, status, number in each_target.eye.counts() if status == "completed")

    shop.place_many(range(40))
    for goal in (5, 20, 30):
        asyncio.run(work_until(reached(goal)))
    shop.place_many(range(40, 60))
    asyncio.run(work_until(lambda: completed() == 60))
    assert sorted(packed) == sorted(str(order_id(number)) for number in range(60))
    assert each_target.eye.counts() == [("fulfilment", "completed", 60)]
