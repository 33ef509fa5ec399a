"""An app that is named wrongly, or cannot be had, is told by every command in the same words and with the same code."""

from pathlib import Path

import pytest
from pages.command_line import Ran, sagalog

COMMANDS = {
    "check": ("check",),
    "check as JSON": ("check", "-o", "json"),
    "run": ("run",),
    "start": ("start", "greet", "--input", "-"),
    "graph": ("graph", "greet"),
    "demo": ("demo",),
}
NOT_THERE = [
    ("no.such.package", "there is no package no.such.package in {folder}; see --app-dir and --app"),
    ("nothing_here", "there is no package nothing_here in {folder}; see --app-dir and --app"),
    ("here.nothing", "there is no package here.nothing in {folder}; see --app-dir and --app"),
    ("alone_there.sagas", "there is no package alone_there.sagas in {folder}; see --app-dir and --app"),
]
NO_NAMES = [
    ("a b", "--app takes the dotted name of a package, found 'a b'"),
    (".x", "--app takes the dotted name of a package, found '.x'"),
    ("9", "--app takes the dotted name of a package, found '9'"),
    ("here/within", "--app takes the dotted name of a package, found 'here/within'; write here.within"),
    ("here/within.py", "--app takes the dotted name of a package, found 'here/within.py'; write here.within"),
    ("here.within:app", "--app takes the dotted name of a package, found 'here.within:app'; write here.within"),
    ("here.py", "--app takes the name of a module and not its file, found 'here.py'; write here"),
]
BROKEN = {
    "raises": ("raise LookupError('the moon')", "LookupError: the moon; --debug shows where"),
    "ends": ("import sys; sys.exit(3)", "SystemExit: 3; --debug shows where"),
    "ends_more": (
        "class Ended(BaseException): pass\nraise Ended('all of it')",
        "Ended: all of it; --debug shows where",
    ),
    "gives_up": ("import asyncio; raise asyncio.CancelledError('now')", "CancelledError: now; --debug shows where"),
    "lacks_a_part": ("import a_package_nobody_has", "No module named 'a_package_nobody_has'; install it, or mend"),
    "goes_round": ("from goes_round_too import thing\nsagas = []", "(most likely due to a circular import)"),
    "is_not_python": ("def broken(:", "SyntaxError: invalid syntax"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "__init__.py").write_text("")
    (tmp_path / "alone_there.py").write_text("")
    (tmp_path / "goes_round_too.py").write_text("from goes_round import sagas\nthing = 1\n")
    for name, (source, _) in BROKEN.items():
        (tmp_path / f"{name}.py").write_text(source)
    return tmp_path


def run(folder: Path, app: str, command: str) -> Ran:
    return sagalog("--app-dir", str(folder), "--db", str(folder / "a.db"), "--app", app, *COMMANDS[command])


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("app", "text"), NOT_THERE)
def test_an_app_that_is_not_there_is_not_found_by_any_command(folder: Path, app: str, text: str, command: str) -> None:
    ran = run(folder, app, command)
    assert (ran.code, ran.out, ran.err) == (3, "", f"error: {text.format(folder=folder.resolve())}\n")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("app", "text"), NO_NAMES)
def test_what_can_be_no_name_of_an_app_is_a_mistake_of_the_command_line(
    folder: Path, app: str, text: str, command: str
) -> None:
    ran = run(folder, app, command)
    assert (ran.code, ran.out, ran.err) == (2, "", f"error: {text}\n")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("app", BROKEN)
def test_an_app_that_cannot_be_imported_says_why_to_every_command(folder: Path, app: str, command: str) -> None:
    ran = run(folder, app, command)
    assert ran.code == 1
    told = " ".join((ran.out if COMMANDS[command][0] == "check" else ran.err).split())
    if command == "check":
        # A column of a table breaks its lines where there is room.
        told, expected = told.replace(" ", ""), BROKEN[app][1].replace(" ", "")
        assert expected in told
    else:
        assert f"the app {app} cannot be imported: " in told
        assert BROKEN[app][1] in told


@pytest.mark.parametrize("command", COMMANDS)
def test_a_name_from_a_variable_may_end_with_a_line_end(folder: Path, command: str) -> None:
    ran = sagalog(
        "--app-dir", str(folder), "--db", str(folder / "a.db"), *COMMANDS[command],
        environment={"SAGALOG_APP": "nothing_here\n"},
    )  # fmt: skip
    assert (ran.code, ran.out) == (3, "")
    assert "there is no package nothing_here in " in ran.err


def test_without_an_app_the_database_is_checked_all_the_same(folder: Path) -> None:
    database = str(folder / "a.db")
    assert sagalog("--db", database, "db", "upgrade").code == 0
    ran = sagalog("--app-dir", str(folder), "--db", database, "check")
    assert ran.code == 1
    assert "no app was named" in " ".join(ran.out.split())
    assert "tables equal log" in ran.out
