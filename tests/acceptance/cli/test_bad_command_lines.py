"""What is wrong with a command line is one line on stderr that says what to do, and an exit code; never a traceback."""

import subprocess
from pathlib import Path

import pytest
from pages.command_line import ROOT, Ran, program, sagalog, write_app

WRONG_SERVICES = """
from contextlib import contextmanager
from sagas.greeting import greet

sagas = [greet()]

@contextmanager
def services():
    yield [1]
"""

WRONG_TRANSPORTS = """
from contextlib import contextmanager
from sagas.greeting import greet
sagas = [greet()]
def transports():
    return [3]
@contextmanager
def services():
    yield {}
"""


def refused(ran: Ran, code: int) -> str:
    """Return the one line of an error."""
    assert (ran.code, ran.out) == (code, ""), ran
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    return ran.err.removeprefix("error: ").rstrip("\n")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["lisst"], "No such command 'lisst'"),
        (["list", "--colour"], "No such option '--colour'"),
        (["list", "--status", "broken"], "Invalid value for '--status': 'broken' is not one of"),
        (["list", "--older", "soon"], "expected a length of time such as 500ms"),
        (["list", "--limit", "0"], "Invalid value for '--limit'"),
        (["list", "-o", "xml"], "Invalid value for '-o'"),
        (["show"], "Missing argument 'ID|KEY'"),
        (["start", "order-fulfilment"], "Missing option '--input'"),
        (["--app-dir", "nowhere", "check"], "Invalid value for '--app-dir'"),
        (["list"], "no database was named: give --db sqlite:///shop.db, or set SAGALOG_DB"),
        (["--db", "shop", "list"], "expected a database such as sqlite:///shop.db"),
        (["--db", "mysql://shop", "list"], "expected a database such as sqlite:///shop.db"),
        (["--db", "memory://", "list"], "which ends with the process"),
        (["run"], "no database was named"),
    ],
    ids=range(14),
)
def test_a_wrong_command_line_is_refused_with_a_hint(words: list[str], text: str) -> None:
    assert text in refused(sagalog(*words), 2)


@pytest.mark.parametrize(
    "command", ["list", "show x", "history x", "replay x", "export x", "wait x", "audit", "db status"]
)
def test_a_question_to_a_database_that_is_not_there_creates_none(tmp_path: Path, command: str) -> None:
    database = tmp_path / "absent.db"
    text = refused(sagalog("--db", str(database), "--app-dir", str(ROOT), *command.split()), 5)
    assert text.startswith(f"there is no database {database}; check --db")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("this is a text and no database " * 100, "utf-8")
    text = refused(sagalog("--db", str(path), "list"), 1)
    assert "is not a healthy SQLite database" in text


def test_an_app_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    text = refused(sagalog("--app-dir", str(tmp_path), "graph", "x"), 3)
    assert text == f"no app was named and {tmp_path} has no package domain; give --app-dir and --app"
    text = refused(sagalog("--app-dir", str(tmp_path), "--app", "nobodys_app", "graph", "x"), 3)
    assert text == f"there is no package nobodys_app in {tmp_path}; see --app-dir and --app"


def test_what_cannot_be_drawn_is_refused_with_all_that_can() -> None:
    text = refused(sagalog("graph", "no-such-thing"), 3)
    assert text.startswith("no saga or choreography is called 'no-such-thing'; the app domain has: ")
    assert {"order-fulfilment", "order-fulfilment-choreographed"} <= set(text.partition("has: ")[2].split(", "))


def test_the_app_may_be_named_by_the_environment(tmp_path: Path) -> None:
    name = write_app(tmp_path, "app_of_the_environment")
    ran = sagalog("--app-dir", str(tmp_path), "graph", "greet", environment={"SAGALOG_APP": name})
    assert (ran.code, ran.err) == (0, "")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("", "must define sagas, a list of Saga"),
        ("sagas = 3", "sagas must be a list of Saga, found 3"),
        ("sagas = ['a']", "sagas must be a list of Saga, found ['a']"),
        ("import a_package_nobody_has", "cannot be imported: No module named 'a_package_nobody_has'"),
        ("1 / 0", "cannot be imported: ZeroDivisionError"),
        ("def broken(:", "cannot be imported: SyntaxError"),
        (
            "class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute",
            "cannot be imported: Mute: (Mute cannot say what happened: its text raised ValueError); --debug shows",
        ),
        ("sagas = []", "has no sagas to run"),
        ("sagas = []\nparticipants = 3", "participants must be a list of Participant, found 3"),
        ("from sagas.greeting import greet\nsagas = [greet()]", "must define services(), a context manager"),
        (
            "from sagas.greeting import greet\nsagas = [greet()]\ndef services(): return {}",
            "services() returned dict, expected a context manager",
        ),
        (
            WRONG_TRANSPORTS,
            "transports() must give a list of transports, found [3]",
        ),
        (
            WRONG_SERVICES,
            "services() must give a mapping of {Type: instance}, found [1]",
        ),
    ],
    ids=range(13),
)
def test_an_app_that_lacks_something_is_told_what(
    tmp_path: Path, request: pytest.FixtureRequest, source: str, text: str
) -> None:
    name = write_app(tmp_path, f"incomplete_app_{abs(hash(request.node.name))}", source)
    database = str(tmp_path / "a.db")
    ran = sagalog("--db", database, "--app-dir", str(tmp_path), "--app", name, "run")
    assert text in refused(ran, 1)


def test_an_app_is_named_as_a_package_and_not_as_a_path(tmp_path: Path) -> None:
    text = refused(sagalog("--app-dir", str(tmp_path), "--app", "../domain", "graph", "x"), 2)
    assert text == "--app takes the dotted name of a package, found '../domain'"


def test_a_file_in_the_place_of_an_app_is_told_what_to_write(tmp_path: Path) -> None:
    text = refused(sagalog("--app-dir", str(tmp_path), "--app", "shop.py", "graph", "x"), 2)
    assert text == "--app takes the name of a module and not its file, found 'shop.py'; write shop"


def test_debug_shows_where_an_error_came_from(tmp_path: Path) -> None:
    words = program("--debug", "--db", str(tmp_path / "absent.db"), "list")
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ran.returncode == 5
    assert "Traceback" in ran.stderr
    assert "StoreUnavailable" in ran.stderr
