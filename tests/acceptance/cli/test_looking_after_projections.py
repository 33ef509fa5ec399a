"""`sagalog projections`: each command on a shop with a read model; what it prints, its exit codes, what it refuses."""

import asyncio
import json
from pathlib import Path

import pytest
from databases.stores import EACH_KIND, migrated_database, opened
from pages.command_line import Ran, sagalog, write_app
from read_models.order_book import Order, asked, caught_up, following, order_book, sold

from sagalog.engine.projections.generations import ensure
from sagalog.projections import Metadata, Tables

APP = """
from contextlib import contextmanager

from read_models.order_book import order_book, sell

sagas = [sell]
projections = [order_book()]


@contextmanager
def services():
    yield {}
"""


class Shop:
    """A database with three orders, whose book is read up, and the command line on it."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address = address
        self._folder = folder
        self._app = "book_app"

    def uses(self, name: str, source: str) -> None:
        """Let commands be about another app from now on."""
        self._app = write_app(self._folder, name, source)

    def projections(self, *words: str, environment: dict[str, str] | None = None) -> Ran:
        given = ["--db", self.address, "--app-dir", str(self._folder), "--app", self._app]
        return sagalog(*given, "projections", *words, environment=environment)

    def status(self) -> dict[tuple[str, int], dict[str, object]]:
        ran = self.projections("status", "-o", "json")
        return {(row["projection"], row["generation"]): row for row in json.loads(ran.out)}


@pytest.fixture(params=EACH_KIND[1:])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    address = migrated_database(request.param, tmp_path, request)
    assert isinstance(address, str)
    write_app(tmp_path, "book_app", APP)
    asyncio.run(sold(address, [Order("o-0"), Order("o-1", refused=True), Order("o-2")]))
    with opened(address) as store, following(order_book(), store) as projecting:
        ensure(projecting)
        caught_up(projecting)
    return Shop(address, tmp_path)


def test_status_tells_of_the_librarys_own_tables_too(shop: Shop) -> None:
    found = shop.status()
    assert set(found) == {("sagalog", 0), ("orders", 1)}
    assert found["sagalog", 0]["position"] == found["orders", 1]["position"] == 14
    assert (found["orders", 1]["lag"], found["orders", 1]["alarm"]) == (0, False)
    assert shop.projections("status").code == 0


def test_status_fails_when_a_projection_is_too_far_behind(shop: Shop) -> None:
    asyncio.run(sold(shop.address, [Order("o-3")]))
    ran = shop.projections("status", environment={"SAGALOG_LAG_ALARM": "0.000001"})
    assert ran.code == 1
    behind = shop.status()["orders", 1]
    assert behind["lag"] == 4
    assert shop.projections("status", environment={"SAGALOG_LAG_ALARM": "86400"}).code == 0


def test_a_paused_projection_is_an_alarm_until_it_is_resumed(shop: Shop) -> None:
    refused = shop.projections("pause", "orders")
    assert (refused.code, "Missing option '--reason'" in refused.err) == (2, True)
    assert (
        shop.projections("pause", "orders", "--actor", "ann", "--reason", "the disk").out
        == "orders stands at position 14\n"
    )
    ran = shop.projections("status")
    assert (ran.code, "by ann: the disk" in ran.out, "paused" in ran.out) == (1, True, True)
    assert shop.projections("resume", "orders").code == 0
    assert shop.projections("status").code == 0


def test_it_is_rebuilt_switched_switched_back_and_removed(shop: Shop) -> None:
    assert "generation 2 of orders is built" in shop.projections("rebuild", "orders").out
    assert "generation 2 of orders is built" in shop.projections("rebuild", "orders").out
    assert "generation 3 of orders is built" in shop.projections("rebuild", "orders", "--anew").out
    assert "see generation 3 at position 14" in shop.projections("switch", "orders").out
    assert "see generation 1 at position 14" in shop.projections("back", "orders").out
    assert shop.projections("remove", "orders", "3").out == "generation 3 of orders (version 1, old) is removed\n"
    no_way = shop.projections("back", "orders")
    assert (no_way.code, no_way.err.count("\n")) == (4, 1)
    assert "no earlier generation to go back to" in no_way.err
    assert asked(shop.address, "SELECT count(*) FROM orders") == [(3,)]


def test_a_rebuild_may_begin_at_a_position_or_a_time_and_be_switched_at_once(shop: Shop) -> None:
    late = shop.projections("rebuild", "orders", "--from", "14", "--switch")
    assert "see generation 2 at position 14" in late.out, late.err
    assert asked(shop.address, "SELECT count(*) FROM orders") == [(0,)]
    early = shop.projections("rebuild", "orders", "--from", "2020-01-01", "--switch")
    assert "see generation 3" in early.out, early.err
    assert asked(shop.address, "SELECT count(*) FROM orders") == [(3,)]
    wrong = shop.projections("rebuild", "orders", "--from", "yesterday")
    assert (wrong.code, "or a position such as 1200" in wrong.err) == (2, True)


def test_verify_names_each_row_that_differs(shop: Shop) -> None:
    assert "none differs" in shop.projections("verify", "orders").out
    with (
        opened(shop.address) as store,
        following(order_book(), store) as projecting,
        projecting.database.transaction() as transaction,
    ):
        transaction.rows("UPDATE orders_g1 SET status = 'lost' WHERE order_id = 'o-1'", {})
        transaction.rows("DELETE FROM money_g1 WHERE order_id = 'o-2'", {})
    ran = shop.projections("verify", "orders")
    assert ran.code == 1
    first, second, third, last = ran.lines
    assert first.startswith("orders: too much: order_id='o-1', status='lost'")
    assert second.startswith("orders: missing: order_id='o-1', status='failed'")
    assert third.startswith("money: missing: position=")
    assert last == "6 rows of orders as of position 14: 3 differ"
    rows = json.loads(shop.projections("verify", "orders", "-o", "json").out)
    assert [(row["table"], row["what"]) for row in rows] == [
        ("orders", "too much"),
        ("orders", "missing"),
        ("money", "missing"),
    ]


def test_parked_events_are_shown_with_their_errors_and_tried_again(shop: Shop) -> None:
    def bad(metadata: Metadata, tables: Tables) -> None:
        raise ValueError(f"not {metadata.key}\x1b[2J")

    asyncio.run(sold(shop.address, [Order("o-3")]))
    with opened(shop.address) as store, following(order_book(bad), store) as projecting:
        caught_up(projecting)
    ran = shop.projections("parked", "orders")
    assert "ValueError: not o-3\\x1b[2J" in ran.out
    assert shop.projections("status").code == 1
    rows = json.loads(shop.projections("parked", "orders", "-o", "json").out)
    assert (rows[0]["event"], rows[0]["status"]) == ("SagaStarted", "retrying")
    assert shop.projections("resume", "orders").code == 0
    assert "generation 2" in shop.projections("rebuild", "orders", "--switch").out
    assert asked(shop.address, "SELECT status FROM orders WHERE order_id = 'o-3'") == [("completed",)]


def test_the_librarys_own_tables_obey_what_makes_sense_for_them(shop: Shop) -> None:
    assert "3 sagas compared" in shop.projections("verify", "sagalog").out
    assert "3 sagas and 0 messages were computed from the log" in shop.projections("rebuild", "sagalog").out
    for command in (["switch"], ["back"], ["pause", "--reason", "x"], ["resume"], ["parked"]):
        ran = shop.projections(command[0], "sagalog", *command[1:])
        assert (ran.code, "are written with each event" in ran.err) == (4, True), command


def test_a_projection_that_is_not_there_is_named_with_those_that_are(shop: Shop) -> None:
    for command in ("verify", "rebuild", "switch", "back", "resume", "parked"):
        ran = shop.projections(command, "order")
        assert ran.code == 3, ran.err
        assert ran.err == "error: no projection is called 'order'; the app book_app has: orders, sagalog\n"


def test_sql_of_a_projection_that_cannot_be_run_is_one_error_and_changes_nothing(shop: Shop, tmp_path: Path) -> None:
    write_app(
        tmp_path,
        "broken_app",
        APP.replace("order_book()", "order_book(sql='CREATE TABLE {orders} (a NO, CHECK);\\n', version=2)"),
    )
    before = asked(shop.address, "SELECT * FROM saga_projections")
    ran = sagalog(
        "--db", shop.address, "--app-dir", str(tmp_path), "--app", "broken_app", "projections", "rebuild", "orders"
    )
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "in: CREATE TABLE {orders} (a NO, CHECK)" in ran.err
    assert asked(shop.address, "SELECT * FROM saga_projections") == before


def test_sql_knows_what_projections_show(shop: Shop) -> None:
    for query, meant in (
        ("SELECT * FROM order_s", "is orders meant?"),
        ("SELECT * FROM balance", "is balances meant?"),
        ("SELECT order_idd FROM orders", "is order_id meant?" if "sqlite" in shop.address else "orders.order_id"),
        ("SELECT * FROM nowhere", "saga_workers, orders, money, balances"),
    ):
        ran = sagalog("--db", shop.address, "sql", query)
        assert (ran.code, meant in ran.err) == (2, True), ran


def test_one_saga_is_rebuilt_where_readers_see_it(shop: Shop) -> None:
    """By its key or id, or by the correlation id that `parked` shows; what is wrong is said, and nothing changed."""
    with opened(shop.address) as store, following(order_book(), store) as projecting:
        lane = store.sagas_by_key("sell", ["o-1"])["o-1"].correlation_id
        with projecting.database.transaction() as transaction:
            transaction.rows("UPDATE orders_g1 SET status = 'spoilt'", {})
    ran = shop.projections("rebuild", "orders", "--saga", "o-1")
    assert (ran.code, ran.out) == (0, "4 events were handed to orders again, as of position 14\n")
    statuses = "SELECT status FROM orders ORDER BY order_id"
    assert asked(shop.address, statuses) == [("spoilt",), ("failed",), ("spoilt",)]
    assert shop.projections("rebuild", "orders", "--lane", lane).out == ran.out
    together = shop.projections("rebuild", "orders", "--lane", lane, "--switch")
    assert (together.code, "--saga and --lane go with no other option" in together.err) == (2, True)
    for empty in ("--saga", "--lane"):
        assert shop.projections("rebuild", "orders", empty, "").code != 0
    nobody = shop.projections("rebuild", "orders", "--saga", "o-7")
    assert (nobody.code, nobody.err.count("\n")) == (3, 1)
    assert shop.projections("rebuild", "orders", "--lane", "none").code == 4
    own = shop.projections("rebuild", "sagalog", "--saga", "o-1")
    assert (own.code, "written with each event" in own.err) == (4, True)
    assert asked(shop.address, statuses) == [("spoilt",), ("failed",), ("spoilt",)]


@pytest.mark.parametrize(
    ("begin", "code", "said"),
    [
        ("15", 4, "expected a position up to 14, where the log ends, found 15"),
        ("99999999999999999999999", 4, "expected a position up to 14, where the log ends"),
        ("2999-01-01", 2, "expected --from a time that has been, found one to come"),
    ],
)
def test_a_rebuild_from_what_is_still_to_come_is_refused(shop: Shop, begin: str, code: int, said: str) -> None:
    """It would miss whatever happens before, and `verify` would find nothing."""
    ran = shop.projections("rebuild", "orders", "--from", begin)
    assert (ran.code, said in ran.err, ran.out) == (code, True, "")
    assert set(shop.status()) == {("sagalog", 0), ("orders", 1)}


BOTH = """
from contextlib import contextmanager

from read_models.order_book import order_book, sell

sagas = [sell]
projections = [order_book(), order_book(version=2)]


@contextmanager
def services():
    yield {}
"""


def test_what_readers_see_is_verified_and_mended_while_a_new_version_is_built(shop: Shop) -> None:
    shop.uses("both_app", BOTH)
    assert shop.projections("verify", "orders").code == 0
    assert shop.projections("rebuild", "orders", "--saga", "o-1").code == 0
    assert shop.projections("rebuild", "orders").code == 0
    assert {row.get("version") for row in shop.status().values()} == {0, 1, 2}


FAILING = """
from contextlib import contextmanager

from read_models.order_book import order_book, sell


def trouble(metadata, tables):
    if metadata.key == "o-1":
        raise ValueError("in a bad mood")


sagas = [sell]
projections = [order_book(trouble)]


@contextmanager
def services():
    yield {}
"""


def test_a_rebuild_that_lacks_events_says_so_and_is_switched_to_only_anyway(shop: Shop) -> None:
    shop.uses("failing_app", FAILING)
    ran = shop.projections("rebuild", "orders")
    assert (ran.code, "events of 1 sagas are not in it, for a handler fails" in ran.err) == (4, True)
    for command in (("switch", "orders"), ("rebuild", "orders", "--switch")):
        refused = shop.projections(*command)
        assert (refused.code, "or switch anyway" in refused.err) == (4, True)
    assert asked(shop.address, "SELECT count(*) FROM orders") == [(3,)]
    assert shop.projections("switch", "orders", "--anyway").code == 0
    assert asked(shop.address, "SELECT count(*) FROM orders") == [(2,)]
    assert shop.projections("back", "orders").code == 0


def test_one_that_is_ahead_of_the_log_is_an_alarm(shop: Shop) -> None:
    """It has read another log, or this one was restored: it would take nothing, and nobody would know."""
    with (
        opened(shop.address) as store,
        following(order_book(), store) as projecting,
        projecting.database.transaction() as transaction,
    ):
        transaction.rows("UPDATE saga_projections SET position = 1000", {})
    ran = shop.projections("status")
    assert (ran.code, "ahead" in ran.out) == (1, True)
