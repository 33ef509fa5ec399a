"""`sagalog check`, `audit`, `graph` and `db`: each finds what was planted, and says ok of what is in order."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest
from databases.stores import opened
from pages.command_line import ROOT, Ran, sagalog, write_app
from sagas.shop_demo import SAGAS_COUNT, FinishedDemo

from domain.database import statements
from sagalog.store import StoreOptions
from sagalog.stores.migrations import newest
from sagalog.testing.contracts.store.samples import start

PLANTED = statements(Path(__file__).parents[2] / "support" / "sagas" / "planted_in_the_demo.sql")


@pytest.fixture
def shop(finished_demo: FinishedDemo, tmp_path: Path) -> Path:
    """A copy of the finished demo, to plant something in."""
    for path in finished_demo.folder.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path


def plant(shop: Path, sql: str) -> None:
    connection = sqlite3.connect(shop / "demo.db")
    connection.executescript(PLANTED[sql])
    connection.close()


def findings(ran: Ran) -> dict[str, tuple[str, str]]:
    return {row["check"]: (row["result"], row["detail"]) for row in json.loads(ran.out)}


def test_a_healthy_shop_passes_every_check(finished_demo: FinishedDemo) -> None:
    ran = finished_demo.sagalog("check", "-o", "json")
    assert (ran.code, ran.err) == (0, "")
    found = findings(ran)
    assert {result for result, _ in found.values()} == {"ok"}
    assert found["tables equal log"][1] == f"{SAGAS_COUNT} sagas compared"
    assert found["saga order-fulfilment version 1"][1].startswith("3 steps (")
    assert found["services"][1] == "Carrier, Inventory, Ordering, Payments"


@pytest.mark.parametrize(
    ("planted", "text"),
    [
        ("a_wrong_status", "saga_status.status: expected 'stuck', found 'completed'"),
        ("a_missing_step", "saga_steps of create_shipment (compensation): expected a row, found none"),
        ("a_step_too_many", "saga_steps of wrap_gift (action): expected no row, found one"),
        ("a_missing_row", "saga_status: expected a row, found none"),
        ("a_changed_event", "expected an event that can follow no saga yet, found SagaCompleted"),
    ],
)
def test_a_row_that_does_not_say_what_the_log_says_is_found(shop: Path, planted: str, text: str) -> None:
    """Invariant 48."""
    plant(shop, planted)
    ran = sagalog("check", "-o", "json", shop=shop)
    assert ran.code == 1
    assert text in ran.out


def test_the_log_may_be_left_out_of_the_check(shop: Path) -> None:
    plant(shop, "a_wrong_status")
    ran = sagalog("check", "--no-log", "-o", "json", shop=shop)
    assert (ran.code, "tables equal log" in ran.out) == (0, False)


def test_open_sagas_without_their_definition_are_found_and_not_compared(shop: Path) -> None:
    """Invariant 41: the sagas whose version is not loaded are reported."""
    write_app(shop, "app_without_the_shops_saga")
    database = str(shop / "demo.db")
    ran = sagalog(
        "--app-dir", str(shop), "--app", "app_without_the_shops_saga", "--db", database, "check", "-o", "json"
    )
    found = findings(ran)
    assert ran.code == 1
    assert found["open sagas"][0] == "wrong"
    details = [row["detail"] for row in json.loads(ran.out) if row["check"] == "open sagas"]
    for name in ("order-fulfilment", "order-fulfilment-choreographed"):
        assert any(f"1 of {name} version 1" in detail for detail in details)
    assert found["tables equal log"] == ("ok", f"{SAGAS_COUNT} sagas compared")


def test_without_a_database_only_the_app_is_checked() -> None:
    found = findings(sagalog("--app-dir", str(ROOT), "check", "-o", "json", environment={"SHOP_DB": ":memory:"}))
    assert "app" in found
    assert "database" not in found


WRONG_SAGAS = """
from contextlib import contextmanager
from sagalog import Saga

saga = Saga("wrong", input=str)

@saga.step
def first(text: str, size: complex): ...

@saga.step
def second(text: str) -> None: ...

sagas = [saga]

@contextmanager
def services():
    raise RuntimeError("the key is missing")
    yield {}
"""


def test_every_mistake_of_a_definition_is_listed(tmp_path: Path) -> None:
    name = write_app(tmp_path, "app_with_wrong_sagas", WRONG_SAGAS)
    ran = sagalog("--app-dir", str(tmp_path), "--app", name, "check", "-o", "json")
    rows: list[dict[str, Any]] = json.loads(ran.out)
    assert ran.code == 1
    mistakes = [row["detail"] for row in rows if row["check"] == "saga wrong version 1"]
    assert len(mistakes) >= 3
    assert any("first" in mistake and "what it returns" in mistake for mistake in mistakes)
    assert {
        "check": "services",
        "result": "wrong",
        "detail": f"{name}.services() raised RuntimeError: the key is missing",
    } in rows


WRONG_PARTICIPANTS = """
from contextlib import contextmanager
from sagalog import Command, Participant

class Pay(Command):
    cents: int

payments = Participant("payments")

@payments.handles
def pay(command: Pay): ...

sagas = []
participants = [payments]

@contextmanager
def services():
    yield {}
"""


def test_every_mistake_of_a_participant_is_listed(tmp_path: Path) -> None:
    name = write_app(tmp_path, "app_with_wrong_participants", WRONG_PARTICIPANTS)
    ran = sagalog("--app-dir", str(tmp_path), "--app", name, "check", "-o", "json")
    assert ran.code == 1
    assert "does not say what it returns" in findings(ran)["participant payments"][1]
    assert findings(ran)["app"][0] == "ok"


def test_a_service_that_is_not_provided_is_named(tmp_path: Path) -> None:
    source = (
        "from contextlib import contextmanager\nfrom sagalog import Saga\nclass Bank: ...\n"
        "saga = Saga('pay', input=str)\n"
        "@saga.step(compensation=None)\ndef pay(text: str, bank: Bank) -> None: ...\nsagas = [saga]\n"
        "@contextmanager\ndef services():\n    yield {}\n"
    )
    name = write_app(tmp_path, "app_without_a_bank", source)
    ran = sagalog("--app-dir", str(tmp_path), "--app", name, "check", "-o", "json")
    assert ran.code == 1
    assert "pay.pay: bank: Bank" in findings(ran)["services"][1]


def test_the_audits_of_a_healthy_shop_return_no_row(finished_demo: FinishedDemo) -> None:
    ran = finished_demo.sagalog("audit", "-o", "json")
    assert (ran.code, ran.err) == (0, "")
    audits = json.loads(ran.out)
    assert len(audits) == len(list((ROOT / "projections" / "audit").glob("*.sql")))
    assert {(audit["result"], audit["rows"]) for audit in audits} == {("ok", 0)}


def test_an_audit_that_finds_something_shows_what_and_why_it_matters(shop: Path) -> None:
    plant(shop, "a_step_that_is_not_undone")
    ran = sagalog("audit", shop=shop)
    assert ran.code == 1
    assert "failed_but_not_undone  A saga ended as failed, but a step that had an effect" in ran.out
    assert "create_shipment" in ran.out
    found = {audit["audit"]: audit for audit in json.loads(sagalog("audit", "-o", "json", shop=shop).out)}
    assert found["failed_but_not_undone"]["rows"] > 0
    assert found["failed_but_not_undone"]["found"][0]["step"] == "create_shipment"


def test_an_audit_query_that_cannot_be_run_is_wrong_and_the_others_run(shop: Path, tmp_path: Path) -> None:
    folder = tmp_path / "projections" / "audit"
    folder.mkdir(parents=True)
    (folder / "broken.sql").write_text("-- Never.\nSELECT saga_id FROM nowhere", "utf-8")
    (folder / "fine.sql").write_text("-- Never.\nSELECT 1 WHERE 1 = 2", "utf-8")
    (folder / "writes.sql").write_text("-- Never.\nDELETE FROM saga_status", "utf-8")
    (folder / "odd.sql").write_text("-- Nie: schön.\nSELECT 1", "latin-1")
    ran = sagalog("--db", str(shop / "demo.db"), "--app-dir", str(tmp_path), "audit", "-o", "json")
    assert ran.code == 1
    found = {audit["audit"]: audit for audit in json.loads(ran.out)}
    assert "nowhere" in found["broken"]["error"]
    assert found["fine"]["result"] == "ok"
    assert found["writes"]["result"] == "wrong"
    assert len(json.loads(sagalog("list", "--limit", "1000", "-o", "json", shop=shop).out)) == SAGAS_COUNT


def test_a_folder_without_audits_is_not_found(finished_demo: FinishedDemo, tmp_path: Path) -> None:
    ran = sagalog("--db", str(finished_demo.folder / "demo.db"), "--app-dir", str(tmp_path), "audit")
    assert ran.code == 3
    assert "there are no .sql files in" in ran.err


def test_a_saga_is_drawn_to_stdout_or_to_a_file(tmp_path: Path) -> None:
    ran = sagalog("--app-dir", str(ROOT), "graph", "order-fulfilment")
    assert ran.out.startswith("%% order-fulfilment version 1\nflowchart TD\n")
    ran = sagalog("--app-dir", str(ROOT), "graph", "order-fulfilment", "--format", "svg")
    assert ran.out.startswith("<svg ")
    path = tmp_path / "saga.svg"
    drawn = sagalog("--app-dir", str(ROOT), "graph", "order-fulfilment", "--output", str(path))
    assert (drawn.code, drawn.out) == (0, "")
    assert path.read_text("utf-8") == ran.out


def test_a_saga_that_is_not_there_cannot_be_drawn() -> None:
    assert sagalog("--app-dir", str(ROOT), "graph", "returns").code == 3


def test_a_database_is_created_and_brought_up_to_date_once(tmp_path: Path) -> None:
    database = str(tmp_path / "new.db")
    assert sagalog("--db", database, "db", "status").code == 5
    ran = sagalog("--db", database, "db", "upgrade")
    assert ran.code == 0
    assert [line.split()[:2] for line in ran.lines] == [["applied", f"{n:04}"] for n in range(1, newest("sqlite") + 1)]
    assert sagalog("--db", database, "db", "upgrade").out == "the database is up to date\n"
    status = sagalog("--db", database, "db", "status", "-o", "json")
    assert (status.code, {row["status"] for row in json.loads(status.out)}) == (0, {"ok"})


def test_a_database_that_lacks_migrations_is_told_of_and_not_changed_by_a_question(tmp_path: Path) -> None:
    database = tmp_path / "empty.db"
    database.touch()
    ran = sagalog("--db", str(database), "db", "status")
    assert ran.code == 1
    assert "missing" in ran.out
    assert "sagalog --db" in ran.err
    ran = sagalog("--db", str(database), "list")
    assert (ran.code, ran.out) == (5, "")
    assert "found schema 0; run `sagalog db upgrade` first" in ran.err
    assert sagalog("--db", str(database), "db", "upgrade").out.startswith("applied 0001")


def test_a_database_of_a_newer_sagalog_is_refused(shop: Path) -> None:
    plant(shop, "a_newer_schema")
    for words in (["list"], ["db", "status"], ["db", "upgrade"]):
        ran = sagalog(*words, shop=shop)
        assert (ran.code, ran.out) == (5, "")
        assert "it was made by a newer sagalog" in ran.err


def test_the_sql_of_the_schema_makes_the_schema(tmp_path: Path) -> None:
    ran = sagalog("db", "sql", "--dialect", "sqlite")
    connection = sqlite3.connect(tmp_path / "by_hand.db")
    connection.executescript(ran.out)
    connection.close()
    # It is taken for what it is: up to date, and nothing is made again.
    with opened(f"sqlite:///{tmp_path / 'by_hand.db'}", StoreOptions(migrate=False)) as store:
        assert store.counts() == []
    with opened(f"sqlite:///{tmp_path / 'by_hand.db'}") as store:
        assert store.append([start("o-1")]) == ["written"]
    assert sagalog("db", "sql", "--db", "sqlite:///any.db").out == ran.out
    assert sagalog("db", "sql").code == 2


@pytest.mark.postgres
def test_the_sql_of_the_schema_makes_the_schema_on_postgres(postgres_url: str) -> None:
    ran = sagalog("db", "sql", "--db", postgres_url)
    with psycopg.connect(postgres_url) as connection:
        connection.execute(ran.out.encode())
    with opened(postgres_url, StoreOptions(migrate=False)) as store:
        assert store.append([start("o-1")]) == ["written"]
    assert sagalog("db", "sql", "--dialect", "postgres").out == ran.out


def test_the_setting_says_which_commands_upgrade(tmp_path: Path) -> None:
    database, never = f"sqlite:///{tmp_path / 'shop.db'}", {"SAGALOG_MIGRATE": "0"}
    begun = ("--app-dir", str(ROOT), "start", "order-fulfilment", "--input", "-", "--db", database)
    assert sagalog(*begun, environment=never).code == 5
    assert list(tmp_path.iterdir()) == []
    assert sagalog("db", "upgrade", "--db", database, environment=never).code == 0
    assert sagalog(*begun, environment=never | {"SHOP_DB": str(tmp_path / "services.db")}).code == 0
    assert sagalog("list", "--db", database, environment={"SAGALOG_MIGRATE": "maybe"}).code == 2
