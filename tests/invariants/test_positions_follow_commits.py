"""Invariant 43 for whoever reads by SQL: a position that was seen is a bookmark, however writers come and go."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from databases.open_transactions import held_open, writers_that_wait
from databases.stores import migrated_database, opened, store_of

from sagalog.store import Store
from sagalog.stores.postgres.connection import SQL
from sagalog.testing.contracts.store.samples import following, start

WRITERS, EACH = 4, 25
# How many readings of a file are made while a transaction is held open: nobody can be asked who waits for it.
READINGS = 200


def write(database: str, begin: threading.Event) -> None:
    """Write events through a store of its own, one transaction each."""
    with opened(store_of(database)) as store:
        begin.wait(60)
        for _ in range(EACH):
            begun = start()
            assert store.append([begun]) == ["written"]
            assert store.append([following(begun)]) == ["written"]


class Reader:
    """A person who keeps the last position that they have seen, and asks what is new."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.seen: list[int] = []

    def read(self) -> None:
        last = self.seen[-1] if self.seen else 0
        sql = f"SELECT position FROM saga_history WHERE position > {last} ORDER BY position"
        self.seen += [row[0] for row in self._store.query(sql)[1]]


def positions_seen(database: str) -> tuple[list[int], list[int]]:
    """Return the positions that a reader saw, while writers wrote beside an open transaction, and those of the log."""
    begin = threading.Event()
    with opened(store_of(database)) as store, ThreadPoolExecutor(WRITERS) as pool:
        reader = Reader(store)
        writing = [pool.submit(write, database, begin) for _ in range(WRITERS)]
        with held_open(database) as commit:
            begin.set()
            readings = 0
            while not all(one.done() for one in writing):
                reader.read()
                readings += 1
                if readings > READINGS if store.name == "sqlite" else writers_that_wait(database) == WRITERS:
                    break
            reader.read()
            commit()
        while not all(one.done() for one in writing):
            reader.read()
        for one in writing:
            one.result()
        reader.read()
        [*rows] = store.query("SELECT position FROM saga_history ORDER BY position")[1]
    return reader.seen, [row[0] for row in rows]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    found = migrated_database(request.param, tmp_path, request)
    assert isinstance(found, str)
    return found


def test_a_reader_with_a_bookmark_sees_every_event_exactly_once(database: str) -> None:
    """Invariant 43: also the one whose transaction had its position first and was held open by another session."""
    seen, there = positions_seen(database)
    assert len(there) == 2 * WRITERS * EACH + 1
    assert seen == there


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_without_the_lock_of_the_log_an_event_would_be_passed(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bug is planted: writers take positions without the lock, and the one that is held open is never seen."""
    monkeypatch.setitem(SQL, "lock_log", b"SELECT 1")
    seen, there = positions_seen(database)
    assert len(there) == 2 * WRITERS * EACH + 1
    assert set(there) - set(seen)
