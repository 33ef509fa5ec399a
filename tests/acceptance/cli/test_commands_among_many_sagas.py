"""No command does more because there are more sagas than it shows: counted in what SQLite does, and in rows read."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from databases.crowd import crowd
from databases.crowded import LEFT_OUT, NOT_TO_A_CROWD, Line, lines
from databases.stores import opened
from pages.command_line import ROOT, sagalog

from sagalog.cli import main

FEW, MANY = 2_200, 22_000
# So many instructions of SQLite are counted together, and so many counts more are no growth.
AT_ONCE, SOME = 100, 60


class Counted:
    """A database, and how much of SQLite's work each command was."""

    def __init__(self, path: Path, number: int) -> None:
        self.address = f"sqlite:///{path}"
        self.path = path
        crowd(self.address, number)
        with opened(self.address) as store:
            self.lines = {" ".join(words(line)): line for line in lines(store, number)}

    def work(self, line: Line, patch: pytest.MonkeyPatch) -> int:
        """Run a command, and return how much it was."""
        counts = [0]

        def count() -> int:
            counts[0] += 1
            return 0

        connect = sqlite3.connect

        def connected(*arguments: Any, **options: Any) -> sqlite3.Connection:
            connection = connect(*arguments, **options)
            connection.set_progress_handler(count, AT_ONCE)
            return connection

        environment = {"SHOP_DB": str(self.path.with_name("shop.db"))}
        with patch.context() as patched:
            patched.setattr(sqlite3, "connect", connected)
            given = ("--db", self.address, "--app-dir", str(ROOT), "--app", "domain")
            ran = sagalog(*given, *line.words, environment=environment)
        assert line.code in (-1, ran.code), ran.out + ran.err
        assert ran.code not in (2, 3, 5), ran.out + ran.err
        return counts[0]


def words(line: Line) -> Iterator[str]:
    """Yield the words of a line by which it is known in a crowd of any size: without ids and keys."""
    for word in line.words:
        yield "..." if ("order-" in word and "fulfil" not in word) or word.count("-") == 4 else word


@pytest.fixture(scope="module")
def crowds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Counted, Counted]:
    few, many = (tmp_path_factory.mktemp(str(number)) / "sagas.db" for number in (FEW, MANY))
    return Counted(few, FEW), Counted(many, MANY)


def test_no_command_grows_faster_than_what_it_shows(
    crowds: tuple[Counted, Counted], monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = crowds
    assert list(few.lines) == list(many.lines)
    grown: dict[str, str] = {}
    for name, line in few.lines.items():
        if line.grows:
            continue
        one, other = few.work(line, monkeypatch), many.lines[name]
        found = many.work(other, monkeypatch)
        if found > 1.5 * one + SOME:
            grown[name] = f"{one} -> {found}"
    assert grown == {}


def test_what_grows_does_so_with_what_it_is_about(
    crowds: tuple[Counted, Counted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten times as many sagas are ten times as much work, and not a hundred times."""
    few, many = crowds
    for name, line in few.lines.items():
        if line.grows:
            ratio = (many.work(many.lines[name], monkeypatch) + SOME) / (few.work(line, monkeypatch) + SOME)
            assert ratio < 1.5 * MANY / FEW, name


def leaves(group: click.Group, before: str = "") -> Iterator[str]:
    """Yield the name of every command."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from leaves(command, f"{before}{name} ")
        else:
            yield before + name


def test_every_command_is_counted_or_it_is_said_why_not(crowds: tuple[Counted, Counted]) -> None:
    counted = {line.command for line in crowds[0].lines.values()}
    assert counted | LEFT_OUT | set(NOT_TO_A_CROWD) == set(leaves(main))
    assert not counted & (LEFT_OUT | set(NOT_TO_A_CROWD))
