"""The participant kit on a connection or a session of SQLAlchemy, in its transaction; and on what is no connection."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sagas.bank import SQL, PaymentProcessed, pay_command
from sqlalchemy import Engine, String, create_engine, insert, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from sagalog import Refused
from sagalog.participant_kit import ParticipantKit

KIT = ParticipantKit("bank")
KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
POOLED = "postgresql+psycopg"


class Table(DeclarativeBase):
    """What SQLAlchemy knows of the tables here."""


class Payment(Table):
    """A row for each payment that was taken."""

    __tablename__ = "payments"
    order_id: Mapped[str] = mapped_column(String, primary_key=True)


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        address = f"sqlite:///{tmp_path / 'bank.db'}"
    else:
        address = str(request.getfixturevalue("postgres_url")).replace("postgresql", POOLED, 1)
    engine = create_engine(address)
    Table.metadata.create_all(engine)
    with engine.begin() as connection:
        KIT.create(connection)
    yield engine
    engine.dispose()


def take(connection: Any, order: str, refused: bool = False) -> Callable[[], PaymentProcessed]:
    """Return what takes a payment with a connection or a session, and then refuses it."""

    def take() -> PaymentProcessed:
        if isinstance(connection, Session | scoped_session):
            connection.add(Payment(order_id=order))
        else:
            connection.execute(insert(Payment), {"order_id": order})
        if refused:
            raise Refused("the account is closed")
        return PaymentProcessed(order_id=order)

    return take


def pay(connection: Any, order: str, refused: bool = False) -> list[str]:
    answers = KIT.handle(connection, pay_command(order), take(connection, order, refused))
    return [answer.name for answer in answers]


def stands(engine: Engine) -> tuple[list[str], list[str]]:
    """Return the orders that are paid, and the actions that the inbox knows."""
    with engine.connect() as connection:
        paid = connection.scalars(select(Payment.order_id).order_by(Payment.order_id))
        known = connection.scalars(text(SQL["actions"]))
        return list(paid), list(known)


def test_the_inbox_is_part_of_the_transaction_of_a_connection(engine: Engine) -> None:
    with engine.begin() as connection:
        assert pay(connection, "o-1") == ["PaymentProcessed"]
        assert stands_elsewhere(engine) == ([], [])
        assert pay(connection, "o-1") == ["PaymentProcessed"]
    assert stands(engine) == (["o-1"], ["o-1:pay"])
    with pytest.raises(ZeroDivisionError), engine.begin() as connection:
        pay(connection, "o-2")
        _ = 1 // 0
    assert stands(engine) == (["o-1"], ["o-1:pay"])


def stands_elsewhere(engine: Engine) -> tuple[list[str], list[str]]:
    """Look with a connection beside the one that writes, as anybody would."""
    return stands(engine)


def test_without_a_transaction_the_kit_begins_and_ends_one(engine: Engine) -> None:
    with engine.connect() as connection:
        for order in ("o-1", "o-2"):
            pay(connection, order)
            assert not connection.in_transaction()
    assert stands(engine) == (["o-1", "o-2"], ["o-1:pay", "o-2:pay"])


def test_a_connection_that_has_begun_by_itself_is_committed_by_its_owner(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(select(Payment)).all()
        pay(connection, "o-1")
        connection.rollback()
        connection.execute(select(Payment)).all()
        pay(connection, "o-2")
        connection.commit()
    assert stands(engine) == (["o-2"], ["o-2:pay"])


def test_the_inbox_is_part_of_the_transaction_of_a_session(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        assert pay(session, "o-1") == ["PaymentProcessed"]
    with Session(engine) as session:
        pay(session, "o-2")
        assert not session.in_transaction()
        assert pay(session, "o-2") == ["PaymentProcessed"]
    with Session(engine) as session:
        session.add(Payment(order_id="o-3"))
        session.flush()
        pay(session, "o-4")
        session.rollback()
    assert stands(engine) == (["o-1", "o-2"], ["o-1:pay", "o-2:pay"])


def test_the_session_of_a_thread_will_do(engine: Engine) -> None:
    sessions = scoped_session(sessionmaker(engine))
    assert pay(sessions, "o-1") == ["PaymentProcessed"]
    sessions.remove()
    assert stands(engine) == (["o-1"], ["o-1:pay"])


@pytest.mark.parametrize("owned", [True, False])
def test_what_a_refused_handler_added_to_a_session_is_not_written_later(engine: Engine, owned: bool) -> None:
    with Session(engine) as session:
        if owned:
            session.add(Payment(order_id="o-0"))
        assert pay(session, "o-1", refused=True) == ["CommandRefused"]
        session.commit()
    assert stands(engine) == ((["o-0"] if owned else []), ["o-1:pay"])


def test_a_handler_that_fails_leaves_nothing_in_the_owners_transaction(engine: Engine) -> None:
    def fail() -> None:
        connection.execute(insert(Payment), {"order_id": "o-1"})
        raise ConnectionError("no line")

    with engine.begin() as connection:
        with pytest.raises(ConnectionError):
            KIT.handle(connection, pay_command("o-1"), fail)
        pay(connection, "o-2")
    assert stands(engine) == (["o-2"], ["o-2:pay"])


def test_the_drivers_connection_out_of_the_pool_will_do(engine: Engine) -> None:
    pooled = engine.raw_connection()
    KIT.handle(pooled, pay_command("o-1"), lambda: None)
    pooled.close()
    assert stands(engine) == ([], ["o-1:pay"])


@pytest.mark.postgres
def test_a_connection_that_commits_each_statement_is_refused(postgres_url: str) -> None:
    engine = create_engine(postgres_url.replace("postgresql", POOLED, 1), isolation_level="AUTOCOMMIT")
    with (
        engine.connect() as connection,
        pytest.raises(TypeError, match=r"expected a connection of SQLAlchemy with transactions, found .* AUTOCOMMIT"),
    ):
        KIT.create(connection)
    engine.dispose()


def test_a_sqlite_connection_that_sqlalchemy_lets_commit_by_itself_has_a_transaction_all_the_same(
    tmp_path: Path,
) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'bank.db'}", isolation_level="AUTOCOMMIT")
    Table.metadata.create_all(engine)
    with engine.connect() as connection:
        KIT.create(connection)
        with pytest.raises(ConnectionError):
            KIT.handle(connection, pay_command("o-1"), failing(connection))
        pay(connection, "o-2")
        connection.commit()
    assert stands(engine) == (["o-2"], ["o-2:pay"])
    engine.dispose()


def failing(connection: Any) -> Callable[[], None]:
    def fail() -> None:
        take(connection, "o-1")()
        raise ConnectionError("no line")

    return fail


# ---------------------------------------------------------------------------------------------- what is none


def of(name: str) -> Any:
    """Return an object of a type with this full name: what a driver that is not installed here would give."""
    module, _, kind = name.rpartition(".")
    looks = {"execute": _nothing, "cursor": _nothing, "in_transaction": False}
    return type(kind, (), {"__module__": module, **(looks if "sqlalchemy" not in name else {})})()


def _nothing(*_: object) -> None: ...


@pytest.mark.parametrize(
    ("found", "instead"),
    [
        ("psycopg2.extensions.connection", r"psycopg2\.extensions\.connection: psycopg \(version 3\) is needed"),
        ("psycopg_pool.pool.ConnectionPool", "give a connection that it hands out"),
        ("asyncpg.connection.Connection", "use a connection that blocks, or the methods with _async and a psycopg"),
        ("aiosqlite.core.Connection", "use a connection that blocks"),
        ("django.db.backends.postgresql.base.DatabaseWrapper", r"give its `connection\.connection`"),
        ("sqlalchemy.ext.asyncio.engine.AsyncConnection", "use a connection that blocks"),
        ("sqlalchemy.ext.asyncio.session.AsyncSession", "use a connection that blocks"),
        ("mysql.connector.MySQLConnection", "give the driver's own connection"),
        ("builtins.object", "object: give the driver's own connection"),
    ],
)
def test_what_is_no_connection_of_ours_is_refused_with_what_to_give(found: str, instead: str) -> None:
    given: Any = object() if found == "builtins.object" else of(found)
    with pytest.raises(TypeError, match=f"Connection or Session of SQLAlchemy on one of them, found .*{instead}"):
        KIT.create(given)


def test_what_sqlalchemy_pools_for_those_who_await_is_refused() -> None:
    class Driver:
        async def execute(self) -> None: ...

    class Other:
        __module__ = "aiosqlite.core"
        in_transaction = False

    pooled = of("sqlalchemy.pool.base._ConnectionFairy")
    for driver in (Driver(), Other()):
        pooled.driver_connection = driver
        with pytest.raises(TypeError, match="use a connection that blocks, or the methods with _async and a psycopg"):
            KIT.create(pooled)


def test_what_is_near_a_connection_is_refused_with_what_to_give(tmp_path: Path) -> None:
    plain = sqlite3.connect(tmp_path / "bank.db")
    engine = create_engine(f"sqlite:///{tmp_path / 'bank.db'}")
    near: list[tuple[Any, str]] = [
        (plain.cursor(), r"found sqlite3\.Cursor: give the connection that it is of"),
        (engine, r"found sqlalchemy\.engine\.base\.Engine: give a connection of it"),
        (sessionmaker(engine), "give a session that it makes"),
        (sqlite3, "found module"),
        (str(tmp_path / "bank.db"), "found str"),
        (None, "found NoneType"),
    ]
    for given, sentence in near:
        with pytest.raises(TypeError, match=sentence):
            KIT.create(given)
    plain.close()
    engine.dispose()
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        KIT.create(plain)


@pytest.mark.postgres
def test_what_is_near_a_postgres_connection_is_refused_with_what_to_give(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        near: Any = connection.cursor()
        with pytest.raises(TypeError, match=r"found psycopg\.Cursor: give the connection that it is of"):
            KIT.create(near)
    with pytest.raises(psycopg.OperationalError, match="the connection is closed"):
        KIT.create(connection)
