"""The audits over what the library and the projections keep find what is planted there, on both databases."""

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from databases.catalogs import plain
from databases.stores import migrated_database
from pages.command_line import ROOT, sagalog
from sagas.earlier_moments import orders_taken
from sagas.greeting import run
from sagas.read_side import build_read_side
from sagas.shop import Shop

from domain.database import statements
from projections import audits

SQL = statements(Path(__file__).parents[2] / "support" / "sagas" / "planted_in_the_read_side.sql")
KINDS = ("sqlite", pytest.param("postgres", marks=pytest.mark.postgres))
SAYS = ("trouble", "found_in", "verb")
TOO_MUCH = "the saga gave back or earned more than it had"
LESS_THAN_NOTHING = "less than nothing was in transit"
NOT_ARRIVED = "the saga has ended, and its money is in transit"
COMPLETED = (
    "SELECT s.saga_id FROM saga_status AS s JOIN money_movements AS m ON m.saga_id = s.saga_id "
    "WHERE s.status = 'completed' AND m.what = 'earned' ORDER BY s.saga_id LIMIT 1"
)


@pytest.fixture(scope="module", params=KINDS)
def shop_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A shop that has worked, and has its read side; nothing that a test plants in it stays."""
    if request.param == "sqlite":
        database = migrated_database("sqlite", tmp_path_factory.mktemp("shop"), request)
        assert isinstance(database, str)
        _work(database)
        yield database
    else:
        server = request.getfixturevalue("postgres_server")
        with server.database(request.getfixturevalue("migrated_template")) as url:
            _work(url)
            yield url


def _work(database: str) -> None:
    async def story() -> None:
        with Shop() as shop:
            async with orders_taken(database, Random(7), 25, shop):
                pass

    run(story())
    build_read_side(database)


def found(database: str, *planted: str) -> dict[str, set[str]]:
    """Plant something, ask every audit, take it out again; return what those say that gave rows."""
    said: dict[str, set[str]] = {}
    with plain(database) as connection:
        connection.execute("BEGIN")
        saga_id = connection.execute(COMPLETED).fetchone()[0]
        for name in planted:
            sql = SQL[name].replace(":saga", f"'{saga_id}'")
            connection.execute(sql.replace("AS BLOB", "AS bytea") if database.startswith("postgres") else sql)
        for audit in audits():
            cursor = connection.execute(audit.asked(time.time_ns() // 1000))
            columns = [column[0] for column in cursor.description]
            says = next(columns.index(one) for one in (*SAYS, columns[0]) if one in columns)
            rows = {str(row[says]) for row in cursor.fetchall()}
            if rows:
                said[audit.name] = rows
        connection.execute("ROLLBACK")
    return said


def test_a_shop_that_has_worked_has_no_row_in_any_audit(shop_database: str) -> None:
    """Invariant 48: neither asked of the tables nor of what is computed of the log."""
    assert found(shop_database) == {}
    ran = sagalog("--app-dir", str(ROOT), "--db", shop_database, "audit")
    assert (ran.code, ran.err) == (0, "")


@pytest.mark.parametrize(
    ("planted", "troubles"),
    [
        ("more_refunded_than_captured", {TOO_MUCH, LESS_THAN_NOTHING, NOT_ARRIVED}),
        ("earned_twice", {TOO_MUCH, LESS_THAN_NOTHING, NOT_ARRIVED}),
        ("earned_before_it_was_captured", {TOO_MUCH, LESS_THAN_NOTHING}),
        ("never_earned", {NOT_ARRIVED}),
        ("captured_less_than_nothing", {"a movement of nothing, or of less"}),
    ],
)
def test_money_that_is_not_conserved_is_found(shop_database: str, planted: str, troubles: set[str]) -> None:
    """Invariant 54: at every position of the log, not only at the end."""
    assert found(shop_database, planted) == {"money_is_conserved": troubles}


@pytest.mark.parametrize(
    ("planted", "tables"),
    [
        ("an_order_on_the_desk_alone", {"order_desk"}),
        ("an_order_of_a_customer_alone", {"customer_orders"}),
        ("an_open_saga_alone", {"open_sagas"}),
    ],
)
def test_a_row_of_a_saga_that_there_is_not_is_found(shop_database: str, planted: str, tables: set[str]) -> None:
    assert found(shop_database, planted) == {"rows_without_a_saga": tables}


def test_a_status_that_the_log_contradicts_is_found(shop_database: str) -> None:
    """Invariant 48: the rows are those of the log."""
    assert found(shop_database, "a_saga_that_is_gone") == {
        "counts_that_the_log_contradicts": {"completed"},
        "rows_without_a_saga": {"order_desk", "customer_orders", "money_movements"},
    }
    assert found(shop_database, "a_saga_that_is_open_again") == {
        "counts_that_the_log_contradicts": {"completed", "open"},
    }


def test_a_decision_that_nobody_can_answer_for_is_found(shop_database: str) -> None:
    """Invariant 49: who decided, and why, is recorded, and asked for."""
    assert found(shop_database, "resumed_without_a_reason") == {
        "actions_without_a_reason": {"resume"},
        # The event alone was planted, without the row that it would have been written with.
        "counts_that_the_log_contradicts": {"completed", "open"},
    }
    assert found(shop_database, "settled_by_nobody") == {"messages_settled_without_a_reason": {"m-1"}}


def test_what_the_library_routed_later_by_itself_is_nobodys_decision(shop_database: str) -> None:
    assert found(shop_database, "set_aside_and_routed") == {}


@pytest.mark.parametrize("behind", ["the_table_is_behind", "an_event_is_parked"])
def test_a_table_that_is_behind_the_log_raises_no_false_alarm(shop_database: str, behind: str) -> None:
    """The end of a saga that the projection has not read yet is no end: its money is in transit by the table."""
    assert found(shop_database, "never_earned", behind) == {}
