"""A projection may be in another database than the sagas, of another kind, and be reached by SQLAlchemy."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from read_models.order_book import Order, asked, order_book, sell
from sqlalchemy.orm import Session

from sagalog.errors import DefinitionError
from sagalog.process_manager import ProcessManager
from sagalog.projections import Metadata, Projection, SagaCompleted, SagaStarted, Tables

SQL = "CREATE TABLE {started} (order_id TEXT PRIMARY KEY, ended BIGINT);\n"


def through_sqlalchemy(engine: Any) -> Projection:
    """Return a projection whose handlers use SQLAlchemy's connection, and the library's own statements too."""
    found = Projection(
        "started", sql=SQL + "-- name: end\nUPDATE {started} SET ended = 1 WHERE order_id = :key;", database=engine
    )

    @found.on
    def started(event: SagaStarted, metadata: Metadata, tables: Tables, connection: sqlalchemy.Connection) -> None:
        table = sqlalchemy.table(tables.name("started"), sqlalchemy.column("order_id"))
        connection.execute(sqlalchemy.insert(table).values(order_id=metadata.key))

    @found.on
    def completed(event: SagaCompleted, metadata: Metadata, tables: Tables) -> None:
        tables.run("end", key=metadata.key)

    return found


async def told(database: str, projection: Projection) -> None:
    """Run three sagas, and wait for the projection."""
    async with ProcessManager(database, sagas=[sell], projections=[projection]) as manager:
        for number in range(3):
            await manager.execute(sell, Order(f"o-{number}"))
        await manager.caught_up(projection.name)


def test_rows_and_position_are_in_the_projections_own_database(each_sql_database: str, tmp_path: Path) -> None:
    reports = f"sqlite:///{tmp_path}/reports.db"
    asyncio.run(told(each_sql_database, order_book(database=reports)))
    assert asked(reports, "SELECT count(*), max(status) FROM orders") == [(3, "completed")]
    assert asked(reports, "SELECT projection, position FROM saga_projections") == [("orders", 12)]
    assert asked(each_sql_database, "SELECT count(*) FROM saga_projections") == [(0,)]


@pytest.mark.postgres
def test_sagas_of_sqlite_are_projected_to_postgresql(tmp_path: Path, postgres_url: str) -> None:
    asyncio.run(told(f"sqlite:///{tmp_path}/sagas.db", order_book(database=postgres_url)))
    assert asked(postgres_url, "SELECT count(*), max(status) FROM orders") == [(3, "completed")]


def test_sagas_in_memory_are_projected_to_a_file(tmp_path: Path) -> None:
    reports = tmp_path / "reports.db"
    asyncio.run(told("memory://", order_book(database=reports)))
    assert asked(f"sqlite:///{reports}", "SELECT count(*) FROM orders") == [(3,)]


def test_an_engine_of_sqlalchemy_gives_handlers_its_connection(each_sql_database: str) -> None:
    engine = sqlalchemy.create_engine(each_sql_database.replace("postgresql://", "postgresql+psycopg://"))
    asyncio.run(told(each_sql_database, through_sqlalchemy(engine)))
    engine.dispose()
    assert asked(each_sql_database, "SELECT count(*), sum(ended) FROM started") == [(3, 3)]


def test_what_is_no_database_of_a_projection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"a projection, found memory://; give it a database= of its own"):
        ProcessManager("memory://", sagas=[sell], projections=[order_book()])
    with pytest.raises(DefinitionError, match=r"expected an address such as sqlite:///reports\.db or an engine"):
        ProcessManager("memory://", sagas=[sell], projections=[order_book(database=7)])
    with Session() as session, pytest.raises(DefinitionError, match="found <sqlalchemy"):
        ProcessManager("memory://", sagas=[sell], projections=[order_book(database=session)])
    asynchronous = type("Engine", (), {"connect": 1, "dialect": type("D", (), {"name": "mysql", "driver": "pymysql"})})
    with pytest.raises(DefinitionError, match=r"an engine of SQLAlchemy on sqlite3 or psycopg, found mysql\+pymysql"):
        ProcessManager("memory://", sagas=[sell], projections=[order_book(database=asynchronous)])


def test_a_database_that_does_not_answer_keeps_nobody_waiting(tmp_path: Path) -> None:
    """The sagas run; the projection is tried again, and goes on when its database is there."""
    folder = tmp_path / "not there yet"

    async def story() -> None:
        book = order_book(database=f"sqlite:///{folder}/reports.db")
        async with ProcessManager(f"sqlite:///{tmp_path}/sagas.db", sagas=[sell], projections=[book]) as manager:
            result = await manager.execute(sell, Order("o-1"))
            assert result.status == "completed"
            folder.mkdir()
            await manager.caught_up("orders")

    asyncio.run(story())
    assert asked(f"sqlite:///{folder}/reports.db", "SELECT count(*) FROM orders") == [(1,)]
