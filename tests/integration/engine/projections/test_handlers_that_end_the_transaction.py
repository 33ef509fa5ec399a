"""A handler that commits, rolls back, closes or exits harms no saga; what is not refused lets the projection stand."""

import asyncio
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from databases.stores import migrated_database, opened
from read_models.order_book import Order, asked, caught_up, following, order_book, sell, sold

from sagalog.engine.projections.comparing import verify
from sagalog.engine.projections.generations import ensure, resume
from sagalog.engine.projections.lanes import rebuild_lane
from sagalog.engine.projections.projecting import Projecting
from sagalog.errors import InvalidAction
from sagalog.process_manager import ProcessManager
from sagalog.projections import Metadata, Projection, SagaStarted, Tables
from sagalog.settings import Settings

THREE = [Order("o-0"), Order("o-1"), Order("o-2")]
OTHERS = [("o-0", "completed"), ("o-2", "completed")]


@pytest.fixture
def sqlite_database(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The address of a SQLite file without rows."""
    database = migrated_database("sqlite", tmp_path, request)
    assert isinstance(database, str)
    return database


def within(connection: Any) -> None:
    with connection:
        connection.execute("DELETE FROM saga_steps WHERE 1 = 2")


def closed(connection: Any) -> None:
    connection.close()


# What SQLite can be asked to refuse.
REFUSED: dict[str, Callable[[Any], object]] = {
    "commit": lambda connection: connection.commit(),
    "rollback": lambda connection: connection.rollback(),
    "with": within,
    "script": lambda connection: connection.executescript("DELETE FROM saga_steps WHERE 1 = 2;"),
    "COMMIT": lambda connection: connection.execute("COMMIT"),
    "end": lambda connection: connection.execute("end transaction"),
    "ROLLBACK": lambda connection: connection.execute("ROLLBACK"),
    "part": lambda connection: connection.execute("RELEASE saga_part"),
    "cursor": lambda connection: connection.cursor().execute("COMMIT"),
    "close": closed,
}
EXITS: dict[str, Callable[[Any], object]] = {
    "exit": lambda _: sys.exit(3),
    "interrupt": lambda _: raised(KeyboardInterrupt()),
    "generator": lambda _: raised(GeneratorExit()),
}
# What is only found out after it has happened.
ENDS: dict[str, Callable[[Any], object]] = {
    "COMMIT": lambda connection: connection.execute("COMMIT"),
    "again": lambda connection: (connection.execute("COMMIT"), connection.execute("BEGIN")),
    "ROLLBACK": lambda connection: connection.execute("ROLLBACK"),
}


def raised(problem: BaseException) -> None:
    raise problem


def book_of(deed: Callable[[Any], object], *, inline: bool) -> Projection:
    """Return a projection whose handler does something to its connection for one order, after it has written a row."""
    book = order_book(inline=inline)

    @book.on(saga=sell)
    def started(_: SagaStarted, metadata: Metadata, tables: Tables) -> None:
        if metadata.key == "o-1":
            tables.execute("SELECT 1")
            deed(tables.connection)

    return book


async def sold_with(database: str, book: Projection) -> list[str]:
    async with ProcessManager(database, sagas=[sell], projections=[book]) as manager:
        runs = [await manager.start(sell, one) for one in THREE]
        return [(await run.result(timeout=20)).status for run in runs]


def read_up(projecting: Projecting) -> None:
    """Take turns in a thread as a worker does: in the main one an interrupt may be a person's."""
    ensure(projecting)
    asyncio.run(asyncio.to_thread(caught_up, projecting))


def row_of(projecting: Projecting) -> Any:
    with projecting.database.reading() as transaction:
        return transaction.generations("orders")[0]


ROWS = "SELECT order_id, status FROM orders ORDER BY order_id"
PARKED = "SELECT event, error_text FROM saga_projection_events WHERE status <> 'waiting'"


def parked_by(database: str, deed: Callable[[Any], object], *, inline: bool) -> list[tuple[Any, ...]]:
    """Run three sagas, of which a handler does something about one; the rows of the others are there."""
    book = book_of(deed, inline=inline)
    if inline:
        assert asyncio.run(sold_with(database, book)) == ["completed"] * 3
    else:
        asyncio.run(sold(database, THREE))
    with opened(database) as store, following(book, store) as projecting:
        read_up(projecting)
        assert asked(database, ROWS) == OTHERS
        return asked(database, PARKED)


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("deed", [*REFUSED, *EXITS])
def test_sqlite_refuses_it_and_the_event_is_parked(deed: str, inline: bool, sqlite_database: str) -> None:
    """Invariants 43 and 44: nothing is there twice or lost, and the saga never notices."""
    [(event, text)] = parked_by(sqlite_database, (REFUSED | EXITS)[deed], inline=inline)
    assert event == "SagaStarted"
    assert deed in EXITS or "expected a handler that only reads and writes rows, found" in text
    with opened(sqlite_database) as store, following(order_book(inline=inline), store) as projecting:
        resume(projecting)
        caught_up(projecting)
        assert verify(projecting).differences == []
        assert len(asked(sqlite_database, ROWS)) == 3


@pytest.mark.postgres
@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("deed", EXITS)
def test_who_exits_has_its_event_parked_on_postgres(deed: str, inline: bool, postgres_url: str) -> None:
    assert len(parked_by(postgres_url, EXITS[deed], inline=inline)) == 1


@pytest.mark.postgres
@pytest.mark.parametrize("deed", ENDS)
def test_what_postgres_cannot_refuse_lets_the_projection_stand(deed: str, postgres_url: str) -> None:
    """It is found out at once, and a person mends the handler; each try more would write its rows again."""
    asyncio.run(sold(postgres_url, THREE))
    with opened(postgres_url) as store, following(book_of(ENDS[deed], inline=False), store) as projecting:
        read_up(projecting)
        row = row_of(projecting)
        assert (row.paused_by, row.position < store.head()) == ("sagalog", True)
        assert "a handler has ended the transaction that also writes how far the projection is" in row.paused_reason
        caught_up(projecting)
        assert row_of(projecting) == row


@pytest.mark.postgres
@pytest.mark.parametrize("deed", ENDS)
def test_a_rebuild_of_one_saga_tells_that_rows_may_be_there_twice(deed: str, postgres_url: str) -> None:
    asyncio.run(sold(postgres_url, THREE))
    with opened(postgres_url) as store:
        with following(order_book(), store) as projecting:
            ensure(projecting)
            caught_up(projecting)
        with following(book_of(ENDS[deed], inline=False), store) as projecting:
            lane = store.sagas_by_key("sell", ["o-1"])["o-1"].correlation_id
            with pytest.raises(InvalidAction, match="a handler has ended the transaction"):
                rebuild_lane(projecting, lane)


@pytest.mark.postgres
@pytest.mark.parametrize("deed", [*ENDS, "close", "rollback"])
def test_a_saga_goes_on_without_it_on_postgres(deed: str, postgres_url: str) -> None:
    """Invariant 44: a transaction that was lost with it is written again without it."""
    book = book_of((REFUSED | ENDS)[deed], inline=True)
    assert asyncio.run(sold_with(postgres_url, book)) == ["completed"] * 3
    assert asked(postgres_url, "SELECT count(*) FROM saga_status WHERE status = 'completed'") == [(3,)]
    with psycopg.connect(postgres_url) as connection:
        versions = connection.execute(
            "SELECT saga_id, count(*), max(version) FROM saga_history GROUP BY saga_id HAVING count(*) <> max(version)"
        ).fetchall()
    assert versions == []


def test_an_insert_that_rolls_back_lets_the_projection_stand_on_sqlite(sqlite_database: str) -> None:
    """SQLite does not ask about that, and nothing of the transaction is left."""

    def deed(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT OR ROLLBACK INTO orders_g1 SELECT * FROM orders_g1")

    asyncio.run(sold(sqlite_database, THREE))
    with opened(sqlite_database) as store, following(book_of(deed, inline=False), store) as projecting:
        read_up(projecting)
        row = row_of(projecting)
        assert (row.position, row.paused_by) == (0, "sagalog")
    assert asyncio.run(sold_with(sqlite_database, book_of(deed, inline=True))) == ["completed"] * 3


@pytest.mark.postgres
def test_a_saga_does_not_wait_again_for_one_that_took_too_long(postgres_url: str) -> None:
    """Invariant 44: what the database gives a transaction is used up once, and the next is written without it."""

    def deed(connection: Any) -> None:
        connection.execute("SELECT pg_sleep(30)")

    async def story() -> list[str]:
        manager = ProcessManager(
            postgres_url,
            sagas=[sell],
            projections=[book_of(deed, inline=True)],
            settings=Settings(statement_timeout=1.0),
        )
        async with manager:
            runs = [await manager.start(sell, one) for one in THREE]
            return [(await run.result(timeout=20)).status for run in runs]

    assert asyncio.run(story()) == ["completed"] * 3
    with opened(postgres_url) as store, following(order_book(inline=True), store) as projecting:
        resume(projecting)
        caught_up(projecting)
        assert verify(projecting).differences == []
