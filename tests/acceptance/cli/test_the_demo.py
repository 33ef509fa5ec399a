"""The demo: what a person sees who has never seen a saga, and what is left on the disk for them to look at."""

import shlex
import shutil
import sqlite3
from pathlib import Path

import pytest
from pages.command_line import ROOT, sagalog, write_app
from sagas.shop_demo import COUNTS, SAGAS_COUNT, FinishedDemo

from domain.sample import choreographed_id, telling_order

TELLING = telling_order()
COPY = choreographed_id(TELLING)


def test_the_demo_runs_every_sample_order_to_where_it_must_end(finished_demo: FinishedDemo) -> None:
    ran = finished_demo.ran
    assert (ran.code, ran.err) == (0, "")
    assert f"{SAGAS_COUNT} sagas run in" in ran.out
    for status, count in COUNTS.items():
        assert [status, str(count)] in [line.split() for line in ran.lines]


def test_the_demo_leaves_the_databases_that_it_names(finished_demo: FinishedDemo) -> None:
    database = finished_demo.folder / "demo.db"
    assert f"The database is {database}" in finished_demo.ran.out
    assert f"{finished_demo.folder / 'demo-shop.db'} (SHOP_DB)" in finished_demo.ran.out
    connection = sqlite3.connect(database)
    assert connection.execute("SELECT count(*) FROM saga_status").fetchone() == (SAGAS_COUNT,)
    connection.close()


def test_the_demo_tells_of_one_undone_saga_in_steps_in_replay_and_in_sql(finished_demo: FinishedDemo) -> None:
    _, rest = finished_demo.ran.out.split("\nOne saga that was undone, step by step\n")
    told, rest = rest.split("\nIts replay: what each event changed\n")
    replayed, rest = rest.split("\nThe same in SQL\n")
    queried, _ = rest.split("\nThe same order with a coordinator and without\n")
    assert "undo process_payment" in told
    assert "status: compensating -> failed" in replayed
    assert "SELECT" in queried
    assert "compensated" in queried


def test_the_demo_shows_an_order_with_a_coordinator_beside_one_without(finished_demo: FinishedDemo) -> None:
    _, rest = finished_demo.ran.out.split("\nThe same order with a coordinator and without\n")
    beside, rest = rest.split("\nWhat caused what, with nobody in charge\n")
    traced, further = rest.split("\nLook further\n")
    lines = [" ".join(line.split()) for line in beside.splitlines()]
    assert f"order-fulfilment {TELLING} failed order-fulfilment-choreographed {COPY} failed" in lines
    assert "process_payment succeeded PaymentProcessed succeeded" in lines
    assert any(line.startswith("undo process_payment compensated") for line in lines)
    assert any("undo PaymentProcessed compensated" in line for line in lines)
    told = [line for line in traced.splitlines() if " event " in line]
    names = ["OrderCreated", "InventoryReserved", "PaymentProcessed", "ShipmentFailed", "PaymentRefunded"]
    assert [name for line in told for name in names if f"event {name} " in line] == names
    assert [line.index("event") for line in told] == sorted(line.index("event") for line in told)
    assert "sagalog --db" in further


def test_the_sql_that_the_demo_shows_runs_as_it_stands(finished_demo: FinishedDemo) -> None:
    queried = finished_demo.ran.out.split("The same in SQL")[1].split("Look further")[0]
    sql = queried.split("\n\n")[1]
    connection = sqlite3.connect(finished_demo.folder / "demo.db")
    rows = connection.execute(sql).fetchall()
    connection.close()
    assert [row[1] for row in rows] == ["action"] * 3 + ["compensation"] * 3


def test_every_command_that_the_demo_suggests_works_when_it_is_pasted(finished_demo: FinishedDemo) -> None:
    suggested = [line.strip() for line in finished_demo.ran.lines if " sagalog " in f" {line}" and "--db" in line]
    assert len(suggested) == 8
    for line in suggested:
        words = shlex.split(line)
        environment = dict(word.split("=", 1) for word in words[: words.index("sagalog")])
        ran = sagalog(*words[words.index("sagalog") + 1 :], environment=environment)
        assert (ran.code, "error" in ran.err) == (0, False), line
        assert ran.out, line


def test_a_second_demo_on_the_same_database_starts_nothing_twice(finished_demo: FinishedDemo, tmp_path: Path) -> None:
    for path in finished_demo.folder.iterdir():
        shutil.copy(path, tmp_path)
    ran = sagalog("--app-dir", str(ROOT), "demo", "--db", str(tmp_path / "demo.db"))
    assert ran.code == 0
    assert f"{SAGAS_COUNT} of which were there already" in ran.out


def test_the_demo_names_its_own_database_and_leaves_that_of_the_environment_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = write_app(tmp_path, "app_with_a_small_demo", SMALL_DEMO)
    ran = sagalog("--app", name, "demo", environment={"SAGALOG_DB": "sqlite:///production.db"})
    assert (ran.code, ran.err) == (0, "")
    assert [path.name for path in tmp_path.glob("sagalog-demo-*.db")]
    assert not (tmp_path / "production.db").exists()
    assert "undone" not in ran.out


def test_the_demo_refuses_a_database_that_is_no_file() -> None:
    ran = sagalog("--app-dir", str(ROOT), "demo", "--db", "postgresql://localhost/shop")
    assert ran.code == 2
    assert ran.err == (
        "error: the demo works on a SQLite file of its own, such as --db demo.db; found postgresql://localhost/shop\n"
    )


def test_an_app_without_a_demo_says_so(tmp_path: Path) -> None:
    name = write_app(tmp_path, "app_without_a_demo")
    ran = sagalog("--app-dir", str(tmp_path), "--app", name, "demo", "--db", str(tmp_path / "demo.db"))
    assert ran.code == 1
    assert ran.err.startswith(f"error: the app {name} has nothing to demonstrate: it defines no demo()")
    assert not (tmp_path / "demo.db").exists()


SMALL_DEMO = """
from contextlib import contextmanager
from sagas.greeting import Greeting, greet

saga = greet()
sagas = [saga]

@contextmanager
def services():
    yield {}

def demo(database):
    return {}, [(saga, Greeting("ada"))]
"""
