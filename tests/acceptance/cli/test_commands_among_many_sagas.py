"""No command reads more because there are more sagas than it shows: counted in SQLite's work, in PostgreSQL's rows."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import psycopg
import pytest
from databases.crowd import crowd
from databases.crowded import LEFT_OUT, NOT_TO_A_CROWD, Line, lines
from databases.stores import opened
from pages.command_line import ROOT, sagalog
from servers.postgres_server import PostgresServer

from sagalog.cli import main
from sagalog.stores.sql import statements

SQL = statements("tests.support.databases", "catalogs.sql")
FEW, MANY = 2_200, 22_000
# So many instructions of SQLite are counted together.
AT_ONCE = 100


class Crowd(ABC):
    """A database, and how much of its work each command is; `some` is so little that it says nothing."""

    some: int

    def __init__(self, address: str, folder: Path, number: int) -> None:
        self.address = address
        self._folder = folder
        crowd(address, number)
        with opened(address) as store:
            self.lines = {" ".join(_known_by(line)): line for line in lines(store, number)}

    @abstractmethod
    def work(self, line: Line, patch: pytest.MonkeyPatch) -> int:
        """Run a command, and return how much it was."""

    def run(self, line: Line) -> None:
        given = ("--db", self.address, "--app-dir", str(ROOT), "--app", "domain")
        ran = sagalog(*given, *line.words, environment={"SHOP_DB": str(self._folder / "shop.db")})
        assert line.code == ran.code or (line.code == -1 and ran.code in (0, 1, 4)), ran.out + ran.err


class OnSQLite(Crowd):
    some = 60

    def work(self, line: Line, patch: pytest.MonkeyPatch) -> int:
        counts: list[int] = []
        connect = sqlite3.connect

        def connected(*arguments: Any, **options: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = connect(*arguments, **options)
            connection.set_progress_handler(lambda: counts.append(1), AT_ONCE)
            return connection

        with patch.context() as patched:
            patched.setattr(sqlite3, "connect", connected)
            self.run(line)
        return len(counts)


class OnPostgres(Crowd):
    some = 250

    def work(self, line: Line, patch: pytest.MonkeyPatch) -> int:
        with psycopg.connect(self.address, autocommit=True) as connection:

            def rows_read() -> int:
                # A server process tells what it has read before it is gone.
                while connection.execute(SQL["others_connected"].encode()).fetchall():
                    pass
                [(read,)] = connection.execute(SQL["rows_read"].encode()).fetchall()
                return int(read)

            before = rows_read()
            self.run(line)
            return rows_read() - before


def _known_by(line: Line) -> Iterator[str]:
    """Yield the words by which a line is known in a crowd of any size: those without ids and keys."""
    for word in line.words:
        yield "..." if ("order-" in word and "fulfil" not in word) or word.count("-") == 4 else word


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def crowds(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Crowd, Crowd]]:
    folder = tmp_path_factory.mktemp("crowds")
    if request.param == "sqlite":
        few, many = (OnSQLite(f"sqlite:///{folder / str(number)}.db", folder, number) for number in (FEW, MANY))
        yield few, many
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with ExitStack() as stack:
        one, other = (OnPostgres(stack.enter_context(server.database()), folder, number) for number in (FEW, MANY))
        yield one, other


def test_no_command_reads_more_than_what_it_shows(crowds: tuple[Crowd, Crowd], monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = crowds
    assert list(few.lines) == list(many.lines)
    grown: dict[str, str] = {}
    for name, line in few.lines.items():
        if not line.grows:
            one, other = few.work(line, monkeypatch), many.work(many.lines[name], monkeypatch)
            if other > 1.5 * one + many.some:
                grown[name] = f"{one} -> {other}"
    assert grown == {}


def test_what_grows_does_so_with_what_it_is_about(crowds: tuple[Crowd, Crowd], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times as many sagas are ten times as much work, and not a hundred times."""
    few, many = crowds
    for name, line in few.lines.items():
        if line.grows:
            one, other = few.work(line, monkeypatch), many.work(many.lines[name], monkeypatch)
            assert (other + many.some) / (one + many.some) < 1.5 * MANY / FEW, name


def leaves(group: click.Group, before: str = "") -> Iterator[str]:
    """Yield the name of every command."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from leaves(command, f"{before}{name} ")
        else:
            yield before + name


def test_every_command_is_counted_or_it_is_said_why_not(crowds: tuple[Crowd, Crowd]) -> None:
    counted = {line.command for line in crowds[0].lines.values()}
    assert counted | LEFT_OUT | set(NOT_TO_A_CROWD) == set(leaves(main))
    assert not counted & (LEFT_OUT | set(NOT_TO_A_CROWD))
