"""`sagalog audit --at`: answers as of then, from tables that are computed aside, of which nothing is left."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from xml.etree import ElementTree as ET

import psycopg
import pytest
from databases.catalogs import plain, shape_of
from databases.stores import migrated_database, opened
from pages.command_line import ROOT, Ran, program, sagalog, write_app
from sagas.earlier_moments import SQL, TABLES, computed, orders_taken, rows_of
from sagas.greeting import run
from sagas.read_side import build_read_side
from sagas.shop import Shop

KINDS = ("sqlite", pytest.param("postgres", marks=pytest.mark.postgres))
# They ask who owns a saga, what is in an inbox, what people did with messages.
ONLY_NOW = ("messages_settled_without_a_reason", "open_but_nobody_looks")
OURS = "FROM pg_stat_activity WHERE application_name = 'sagalog' AND datname = current_database()"
ASLEEP = f"SELECT 1 {OURS} AND wait_event = 'PgSleep'".encode()
LEFT = b"SELECT nspname FROM pg_namespace WHERE nspname LIKE 'saga%'"


@pytest.fixture(scope="module", params=KINDS)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A shop that has worked, with its read side; tests only look."""

    def work(database: str) -> None:
        async def story() -> None:
            with Shop() as shop:
                async with orders_taken(database, Random(3), 15, shop):
                    pass

        run(story())
        build_read_side(database)

    if request.param == "sqlite":
        database = migrated_database("sqlite", tmp_path_factory.mktemp("shop"), request)
        assert isinstance(database, str)
        work(database)
        yield database
    else:
        server = request.getfixturevalue("postgres_server")
        with server.database(request.getfixturevalue("migrated_template")) as url:
            work(url)
            yield url


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which temporary files are made: nothing is to be left there."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def audit(database: str, *words: str, folder: Path = ROOT, app: str = "domain") -> Ran:
    return sagalog("--db", database, "--app-dir", str(folder), "--app", app, "audit", *words)


def head(database: str) -> int:
    with opened(database) as store:
        return store.head()


def results(ran: Ran) -> dict[str, str]:
    return {row["audit"]: row["result"] for row in json.loads(ran.out)}


def asking(folder: Path, **audits: str) -> Path:
    """Return a folder that asks audits of its own, with the shop as its app."""
    (folder / "projections" / "audit").mkdir(parents=True)
    for name, sql in audits.items():
        (folder / "projections" / "audit" / f"{name}.sql").write_text(sql)
    return folder


def everything(database: str) -> tuple[object, ...]:
    """Return all rows of the library's tables, and how everything was made."""
    with plain(database) as connection:
        rows = {name: rows_of(connection.execute(SQL[name]).fetchall()) for name in TABLES}
        left: list[object] = [] if database.startswith("sqlite") else connection.execute(LEFT).fetchall()
    return rows, shape_of(database), left


def test_every_audit_is_answered_as_of_then_or_says_that_it_is_known_only_now(shop: str, temporary: Path) -> None:
    """Invariant 48: and nothing of it is left, nor changed in the database that is in use."""
    before, half = everything(shop), head(shop) // 2
    for at in (half, head(shop), 0):
        ran = audit(shop, "--at", str(at), "-o", "json")
        assert (ran.code, ran.err) == (0, "")
        rows = json.loads(ran.out)
        not_ok = {row["audit"]: row["result"] for row in rows if row["result"] != "ok"}
        assert not_ok == dict.fromkeys(ONLY_NOW, "unknown")
        for row in rows:
            assert row["at_position"] <= at
            assert ("known only as it is now" in (row["unknown"] or "")) == (row["audit"] in ONLY_NOW)
    assert everything(shop) == before
    assert list(temporary.iterdir()) == []


def test_the_answer_is_that_of_then_and_says_of_when_it_is(shop: str, tmp_path: Path) -> None:
    sql = "-- A row is an open saga.\nSELECT saga_key, position FROM saga_status WHERE ended_at IS NULL AND :now > 0"
    folder, half = asking(tmp_path, still_open=sql), head(shop) // 2
    with computed(shop, ("position", half)) as then:
        expected = then.store.query("SELECT saga_key FROM saga_status WHERE ended_at IS NULL")[1]
        position, time = then.position, then.time
    ran = audit(shop, "--at", str(half), "-o", "json", folder=folder)
    (row,) = json.loads(ran.out)
    assert (ran.code, row["result"], row["at_position"], row["error"]) == (1, "wrong", position, None)
    assert {one["saga_key"] for one in row["found"]} == {key for (key,) in expected}
    shown = audit(shop, "--at", str(half), folder=folder).out
    assert f"as of position {position:,}, " in shown
    report = ET.fromstring(audit(shop, "--at", row["at_time"], "--junit", "-", folder=folder).out.encode())
    said = {one.get("name"): one.get("value") for one in report.iter("property")}
    assert (set(said), said["at_time"]) == ({"at_position", "at_time"}, row["at_time"])
    now = json.loads(audit(shop, "-o", "json", folder=folder).out)[0]
    assert (now["at_position"], now["at_time"], now["unknown"]) == (None, None, None)
    assert time > 0


def test_what_no_log_tells_is_unknown_and_what_is_nowhere_is_an_error(shop: str, tmp_path: Path) -> None:
    audits = {
        "owners": "SELECT saga_id FROM saga_status WHERE owner = 'nobody'",
        "deliveries": "SELECT command_id FROM saga_commands WHERE deliveries > 99",
        "workers": "SELECT worker_id FROM saga_workers",
        "of_mine": "SELECT * FROM mine",
        "mistaken": "SELECT * FROM nowhere",
        "people": "SELECT * FROM saga_actions WHERE actor = 'nobody'",
    }
    folder = asking(tmp_path, **{name: f"-- A row is a test.\n{sql}" for name, sql in audits.items()})
    with plain(shop) as connection:
        connection.execute("CREATE TABLE mine (x INTEGER)")
    try:
        ran = audit(shop, "--at", "5", "-o", "json", folder=folder)
    finally:
        with plain(shop) as connection:
            connection.execute("DROP TABLE mine")
    unknown = dict.fromkeys(("owners", "deliveries", "workers", "of_mine"), "unknown")
    assert results(ran) == unknown | {"mistaken": "wrong", "people": "ok"}
    assert ran.code == 1
    report = ET.fromstring(audit(shop, "--at", "5", "--junit", "-", folder=folder).out.encode())
    assert (report.get("skipped"), report.get("errors")) == ("3", "2")


@pytest.mark.parametrize(
    ("at", "code", "said"),
    [
        ("999999999", 3, "there is no position 999999999 yet"),
        ("9" * 40, 3, "there is no position"),
        ("2999-01-01", 3, "that time is still to come"),
        ("yesterday", 2, "expected a time such as"),
        ("-1", 2, "expected a time such as"),
        ("", 2, "expected a time such as"),
    ],
)
def test_a_moment_that_never_was_is_one_error(shop: str, at: str, code: int, said: str) -> None:
    ran = audit(shop, "--at", at)
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1)
    assert said in ran.err


def test_sagas_whose_definition_the_app_has_not_are_computed_but_for_what_they_wait_for(
    shop: str, tmp_path: Path
) -> None:
    """Invariant 41: it is said; those that had ended are as they were."""
    folder = asking(tmp_path, none="-- A row is a test.\nSELECT 1 WHERE 1 = 2")
    app = write_app(folder, f"app_of_{shop.partition(':')[0]}_audits")
    ran = audit(shop, "--at", str(head(shop)), folder=folder, app=app)
    assert ran.code == 0
    assert "waited for is not known: the app has not their definition" in ran.err


def test_a_projection_that_cannot_be_built_is_an_error_and_nothing_is_left(
    shop: str, tmp_path: Path, temporary: Path
) -> None:
    source = """
from domain import sagas, participants, choreographies, services
from sagalog import Retry
from sagalog.projections import Projection, SagaStarted, Tables

fragile = Projection("fragile", sql="CREATE TABLE {fragile} (x INTEGER);", on_failure="HOW", retry=Retry(attempts=1))
projections = [fragile]

@fragile.on
def started(event: SagaStarted, tables: Tables) -> None:
    raise ValueError("this one is too much")
"""
    folder = asking(
        tmp_path,
        over="-- A row is a test.\n-- needs: projection fragile 1\nSELECT * FROM fragile",
        other="-- A row is a test.\nSELECT 1 WHERE 1 = 2",
    )
    for how in ("stop", "park"):
        name = f"fragile_{how}_{shop.partition(':')[0]}"
        write_app(folder, name, source.replace("HOW", how))
        ran = audit(shop, "--at", "9", "-o", "json", folder=folder, app=name)
        assert ran.code == 1
        assert results(ran) == {"over": "wrong", "other": "ok"}
        assert "this one is too much" in json.loads(ran.out)[1]["error"]
    assert list(temporary.iterdir()) == []
    if shop.startswith("postgres"):
        with plain(shop) as connection:
            assert connection.execute(LEFT).fetchall() == []


@pytest.mark.postgres
@pytest.mark.crash
def test_a_schema_is_dropped_after_ctrl_c_and_one_left_by_a_kill_by_the_next(
    migrated_postgres_url: str, tmp_path: Path
) -> None:
    folder = asking(tmp_path, slow="-- A row is a test.\nSELECT pg_sleep(600)")
    app = write_app(folder, "app_that_is_killed")
    words = program("--db", migrated_postgres_url, "--app-dir", str(folder), "--app", app, "audit", "--at", "0")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with psycopg.connect(migrated_postgres_url, autocommit=True) as connection:
        for how, left in ((signal.SIGINT, 0), (signal.SIGKILL, 1)):
            running = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                while not connection.execute(ASLEEP).fetchone():
                    assert running.poll() is None
                running.send_signal(how)
                running.wait(60)
            finally:
                running.kill()
                running.wait()
            assert len(connection.execute(LEFT).fetchall()) == left
        # The server still runs the query of the killed one, whose session holds on to the schema.
        connection.execute(f"SELECT pg_terminate_backend(pid) {OURS}".encode())
        while connection.execute(f"SELECT 1 {OURS}".encode()).fetchone():
            pass
        # The next one drops what was left, and leaves what another one works with.
        with computed(migrated_postgres_url, ("position", 0)):
            [(mine,)] = connection.execute(LEFT).fetchall()
            with computed(migrated_postgres_url, ("position", 0)) as then:
                assert then.position == 0
                assert len(connection.execute(LEFT).fetchall()) == 2
            assert connection.execute(LEFT).fetchall() == [(mine,)]
        assert connection.execute(LEFT).fetchall() == []
