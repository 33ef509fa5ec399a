"""An inline projection is written in the transaction of the events: never behind, and never in their way."""

import asyncio
import logging
import sqlite3
from typing import Any

import psycopg
import pytest
from databases.stores import opened
from read_models.order_book import Order, Trouble, asked, caught_up, following, order_book, sell, sold

from sagalog.engine.projections.comparing import verify
from sagalog.engine.projections.generations import begin, ensure, pause, resume, switch
from sagalog.errors import DefinitionError
from sagalog.process_manager import ProcessManager
from sagalog.projections import Metadata, Projection, SagaStarted, Tables

HOW_FAR = "SELECT position FROM saga_projections WHERE projection = 'orders' AND status = 'live'"
# A projection is behind if what readers see is not what the log holds, as one reader sees both.
BEHIND = """SELECT p.position, (SELECT coalesce(max(position), 0) FROM saga_status)
FROM saga_projections AS p WHERE p.projection = 'orders' AND p.status = 'live'"""


def orders(number: int) -> list[Order]:
    """Return orders of which each third is refused."""
    return [Order(f"o-{one}", 100 + one, one % 3 == 0) for one in range(number)]


def expected(number: int) -> list[tuple[Any, ...]]:
    """Return the rows of those orders, once each has ended."""
    rows = [(one.order_id, *(("failed", 0) if one.refused else ("completed", 2))) for one in orders(number)]
    return sorted(rows)


ROWS = "SELECT order_id, status, steps FROM orders ORDER BY order_id"


def test_whoever_reads_an_event_reads_its_row(each_sql_database: str) -> None:
    """Invariants 43 and 44: at each look, the projection is at the end of the log, while many sagas run."""

    async def story() -> list[list[tuple[Any, ...]]]:
        looks: list[list[tuple[Any, ...]]] = []
        async with ProcessManager(
            each_sql_database, sagas=[sell], projections=[order_book(inline=True)], worker=True
        ) as manager:
            runs = [await manager.start(sell, one) for one in orders(40)]
            looks += [await asyncio.to_thread(asked, each_sql_database, BEHIND) for _ in range(20)]
            for run in runs:
                await run.result(timeout=20)
                looks.append(await asyncio.to_thread(asked, each_sql_database, BEHIND))
        return looks

    looks = asyncio.run(story())
    assert [one for one in looks if one[0][0] != one[0][1]] == []
    assert len(looks) == 60
    assert asked(each_sql_database, ROWS) == expected(40)


def test_several_who_write_leave_it_behind_for_nobody(each_sql_database: str) -> None:
    """A turn of the projection's own, in any process, lets whoever writes go on from where it ends."""

    async def story() -> list[list[tuple[Any, ...]]]:
        managers = [
            ProcessManager(each_sql_database, sagas=[sell], projections=[order_book(inline=True)]) for _ in range(2)
        ]
        looks: list[list[tuple[Any, ...]]] = []
        async with managers[0], managers[1]:
            ends = asyncio.ensure_future(ended(managers))
            while not ends.done():
                looks.append(await asyncio.to_thread(asked, each_sql_database, BEHIND))
            await ends
        return looks

    async def ended(managers: list[ProcessManager]) -> None:
        runs = [await managers[number % 2].start(sell, one) for number, one in enumerate(orders(150))]
        await asyncio.gather(*(run.result(timeout=20) for run in runs))

    looks = asyncio.run(story())
    assert [one for one in looks if one[0][0] != one[0][1]] == []
    assert len(looks) > 2
    assert asked(each_sql_database, ROWS) == expected(150)


def test_a_user_sees_their_saga_without_waiting(each_sql_database: str) -> None:
    async def story() -> None:
        book = order_book(inline=True)
        async with ProcessManager(each_sql_database, sagas=[sell], projections=[book], worker=False) as manager:
            for number in range(50):
                await manager.start(sell, Order(f"o-{number}"))
                query = f"SELECT order_id FROM orders WHERE order_id = 'o-{number}'"
                assert asked(each_sql_database, query) == [(f"o-{number}",)]

    # The first process of all that works makes the tables.
    with opened(each_sql_database) as store, following(order_book(inline=True), store) as projecting:
        ensure(projecting)
    asyncio.run(story())


def failing(order_id: str) -> Trouble:
    """Return trouble that one order is."""

    def trouble(metadata: Metadata, _: Tables) -> None:
        if metadata.key == order_id:
            raise ValueError(f"nobody wants {metadata.key}")

    return trouble


def test_a_handler_that_fails_rolls_nothing_of_the_saga_back(each_sql_database: str) -> None:
    """Its event is parked in the transaction that writes it; the saga goes on, and so do all other rows."""

    async def story() -> list[str]:
        book = order_book(failing("o-1"), inline=True)
        async with ProcessManager(each_sql_database, sagas=[sell], projections=[book]) as manager:
            runs = [await manager.start(sell, one) for one in orders(4)]
            return [(await run.result(timeout=20)).status for run in runs]

    assert asyncio.run(story()) == ["failed", "completed", "completed", "failed"]
    assert asked(each_sql_database, ROWS) == [one for one in expected(4) if one[0] != "o-1"]
    parked = asked(
        each_sql_database, "SELECT event, status, error_text FROM saga_projection_events ORDER BY position LIMIT 2"
    )
    assert parked[0][0] == "SagaStarted"
    assert parked[0][1] in ("retrying", "parked")
    assert "nobody wants o-1" in parked[0][2]
    assert parked[1] == ("StepSucceeded", "waiting", None)
    at, head = asked(each_sql_database, BEHIND)[0]
    assert at == head
    with opened(each_sql_database) as store, following(order_book(inline=True), store) as mended:
        resume(mended)
        caught_up(mended)
        assert verify(mended).differences == []
    assert asked(each_sql_database, ROWS) == expected(4)


@pytest.mark.parametrize("wrong", ["SELECT nothing FROM nowhere", "INSERT INTO {orders} (order_id) VALUES (NULL)"])
def test_sql_that_fails_rolls_nothing_of_the_saga_back(each_sql_database: str, wrong: str) -> None:
    """An error of the database undoes what the handler wrote, and not the events before it in the transaction."""
    book = order_book(inline=True)

    @book.on
    def started(_: SagaStarted, metadata: Metadata, tables: Tables) -> None:
        if metadata.key == "o-2":
            tables.execute(wrong)

    async def story() -> list[str]:
        async with ProcessManager(each_sql_database, sagas=[sell], projections=[book]) as manager:
            runs = [await manager.start(sell, one) for one in orders(4)]
            return [(await run.result(timeout=20)).status for run in runs]

    assert asyncio.run(story()) == ["failed", "completed", "completed", "failed"]
    assert asked(each_sql_database, ROWS) == [one for one in expected(4) if one[0] != "o-2"]


def test_one_that_cannot_go_on_is_left_behind_and_brought_up(
    each_sql_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """If its own row cannot be written, say, the events are; later it catches up by itself."""

    async def story() -> None:
        async with ProcessManager(each_sql_database, sagas=[sell], projections=[order_book(inline=True)]) as manager:
            await asyncio.to_thread(changed, each_sql_database, "ALTER TABLE orders_g1 RENAME TO elsewhere")
            await asyncio.to_thread(changed, each_sql_database, "ALTER TABLE saga_projection_events RENAME TO gone")
            run = await manager.start(sell, Order("o-1"))
            assert (await run.result(timeout=20)).status == "completed"
            await asyncio.to_thread(changed, each_sql_database, "ALTER TABLE elsewhere RENAME TO orders_g1")
            await asyncio.to_thread(changed, each_sql_database, "ALTER TABLE gone RENAME TO saga_projection_events")
            await manager.caught_up("orders")

    with caplog.at_level(logging.WARNING):
        asyncio.run(story())
    assert asked(each_sql_database, ROWS) == [("o-1", "completed", 2)]
    assert "projection orders is left behind for now" in caplog.text


def changed(database: str, statement: str) -> None:
    """Run a statement of a person, through a connection of its own."""
    if database.startswith("sqlite:///"):
        with sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None) as connection:
            connection.execute(statement)
        connection.close()
    else:
        with psycopg.connect(database, autocommit=True) as server:
            server.execute(statement.encode())


def test_what_was_written_without_it_is_caught_up_with(each_sql_database: str) -> None:
    """Processes that were not given the projection write as well; and a log may be older than the projection."""
    asyncio.run(sold(each_sql_database, orders(60)))

    async def story() -> None:
        async with ProcessManager(each_sql_database, sagas=[sell], projections=[order_book(inline=True)]) as manager:
            await manager.caught_up("orders")
            run = await manager.start(sell, Order("late"))
            await run.result(timeout=20)
            at, head = (await asyncio.to_thread(asked, each_sql_database, BEHIND))[0]
            assert at == head

    asyncio.run(story())
    assert len(asked(each_sql_database, ROWS)) == 61


def test_it_is_rebuilt_switched_and_paused_like_any_other(each_sql_database: str) -> None:
    async def story() -> None:
        book = order_book(inline=True)
        async with ProcessManager(each_sql_database, sagas=[sell], projections=[book]) as manager:
            for one in orders(6):
                await (await manager.start(sell, one)).result(timeout=20)
            await asyncio.to_thread(rebuilt)
            await (await manager.start(sell, Order("after"))).result(timeout=20)
            at, head = (await asyncio.to_thread(asked, each_sql_database, BEHIND))[0]
            assert at == head
            await asyncio.to_thread(stood)
            await (await manager.start(sell, Order("unseen"))).result(timeout=20)
            assert await asyncio.to_thread(asked, each_sql_database, HOW_FAR) == [(at,)]

    def rebuilt() -> None:
        with opened(each_sql_database) as store, following(order_book(inline=True), store) as projecting:
            row = begin(projecting)
            projecting.build(row.generation, store.head())
            assert switch(projecting).after.generation == row.generation
            assert verify(projecting).differences == []

    def stood() -> None:
        with opened(each_sql_database) as store, following(order_book(inline=True), store) as projecting:
            pause(projecting, "anna", "to look at it")

    asyncio.run(story())
    assert asked(each_sql_database, ROWS) == [("after", "completed", 2), *expected(6)]
    with opened(each_sql_database) as store, following(order_book(inline=True), store) as projecting:
        resume(projecting)
        caught_up(projecting, 2)
        assert verify(projecting).differences == []
    assert len(asked(each_sql_database, ROWS)) == 8


def test_it_is_in_the_database_of_the_sagas() -> None:
    with pytest.raises(DefinitionError, match="an inline one is in the database of the sagas"):
        Projection("orders", sql="CREATE TABLE {orders} (id TEXT)", inline=True, database="sqlite:///other.db")
