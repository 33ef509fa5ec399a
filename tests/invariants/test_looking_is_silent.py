"""Whoever looks at a history by the command line reads no clock, draws no number, connects to nobody, writes nothing.

The modules that could are trapped while the commands run: on an exported file, and on a database.
"""

import os
import random
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pages.command_line import sagalog
from sagas.shop_demo import FinishedDemo


class Trapped(BaseException):
    """Something read the world."""


@pytest.fixture
def traps(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A patch that lets every look at the world raise, once `spring` is called."""
    with monkeypatch.context() as patched:
        yield patched


def spring(patched: pytest.MonkeyPatch, *, sockets_alone: bool = False) -> None:
    def trap(*_: object, **__: object) -> object:
        raise Trapped

    clocks = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep")
    for module, names in {
        socket: ("socket", "create_connection", "gethostname", "getaddrinfo"),
        time: clocks,
        random: ("random", "randrange", "getrandbits", "choice", "uniform", "shuffle"),
        secrets: ("token_bytes", "token_hex", "randbits"),
        os: ("urandom", "getrandom"),
        uuid: ("uuid1", "uuid4"),
        threading: ("Timer",),
    }.items():
        for name in names if module is socket or not sockets_alone else ():
            patched.setattr(module, name, trap)


@pytest.fixture
def looks(finished_demo: FinishedDemo, tmp_path: Path) -> tuple[str, list[list[str]]]:
    """An exported file of two sagas, one undone and one followed, and the commands that look at them."""
    undone = finished_demo.sagalog("list", "--error", "CarrierMute", "-o", "csv").lines[1].split(",")[4]
    keys = (undone, "created-0153")
    path = tmp_path / "history.jsonl"
    path.write_text(finished_demo.sagalog("export", *keys).out, "utf-8")
    commands = [
        *(["replay", key] for key in keys),
        ["replay", undone, "--at", "3", "-o", "json"],
        ["replay", undone, "--step"],
        ["diff", *keys],
        ["diff", f"{undone}@2", f"{undone}@7", "--exact", "-o", "json"],
        *(["graph", "--run", key, "--format", form] for key in keys for form in ("text", "svg")),
    ]
    return str(path), commands


def outputs(commands: Sequence[Sequence[str]], *more: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for words in commands:
        ran = sagalog(*words, *more)
        assert ran.err == ""
        found.append((ran.code, ran.out))
    return found


def test_an_exported_file_is_looked_at_without_a_clock_a_number_or_a_connection(
    looks: tuple[str, list[list[str]]], traps: pytest.MonkeyPatch
) -> None:
    """Invariant 38."""
    path, commands = looks
    # Modules are loaded before, because Python's own import looks at clocks.
    before = outputs(commands, "--from", path)
    spring(traps)
    assert outputs(commands, "--from", path) == before
    with pytest.raises(Trapped):
        time.time()
    with pytest.raises(Trapped):
        os.urandom(1)


def test_a_database_is_looked_at_without_a_connection_elsewhere_and_stays_as_it_was(
    looks: tuple[str, list[list[str]]], finished_demo: FinishedDemo, traps: pytest.MonkeyPatch
) -> None:
    """Invariants 38, 40 and 52: byte by byte, and what is seen is what is seen of the export."""
    path, commands = looks
    database = finished_demo.folder / "demo.db"
    before = database.read_bytes()
    from_file = outputs(commands, "--from", path)
    spring(traps, sockets_alone=True)
    assert outputs(commands, "--db", str(database)) == from_file
    assert database.read_bytes() == before


def test_a_file_is_looked_at_where_there_is_neither_database_nor_app(
    looks: tuple[str, list[list[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invariant 41: what a saga was is told by its history, whatever is declared today."""
    path, commands = looks
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    before = outputs(commands, "--from", path)
    monkeypatch.chdir(elsewhere)
    assert outputs(commands, "--from", path) == before
    assert list(elsewhere.iterdir()) == []
