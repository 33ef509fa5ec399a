"""Rows that follow the histories of simulations, which crash, repeat and come late, are those that a rebuild gives."""

import contextlib
import random
from collections import Counter
from collections.abc import Iterator
from functools import cache
from random import SystemRandom
from typing import Any

import pytest
from databases.stores import opened
from lab.logs import Entry, give, mixed, simulated
from read_models.happenings import happenings
from read_models.order_book import asked, following
from sagas.parcels import ParcelOrdered, ParcelPacked

from sagalog.engine.projections.comparing import verify
from sagalog.engine.projections.generations import begin
from sagalog.projections import Metadata, Tables
from sagalog.saga.happenings import HAPPENINGS
from sagalog.store import Store
from sagalog.store.projections import ProjectionRow
from sagalog.testing.clock import FakeClock

SEEDS, OF_MESSAGES, AT_ONCE = range(50), 15, 8
PIECES = (1, 3, 20, 80, 200)
BATCHES = (1, 2, 3, 7, 20, 100, 500)
TOLD = {one.__name__ for one in HAPPENINGS} | {ParcelOrdered.__name__, ParcelPacked.__name__}


class Killed(BaseException):
    """The end of a process in the middle of an event."""


@cache
def logs() -> list[list[Entry]]:
    """Return the logs of all simulations, which are run once for all tests here."""
    return simulated(SEEDS, OF_MESSAGES)


class Lives:
    """The lives of a process that keeps the projection: each has a batch of its own, and may end anywhere."""

    def __init__(self, store: Store, seeded: random.Random) -> None:
        self.killed = 0
        self.failed = 0
        self._failing = Counter[int]()
        self._store = store
        self._seeded = seeded
        self._clock = FakeClock()

    def trouble(self, metadata: Metadata, _tables: Tables) -> None:
        """Let the process end now and then, and let an event fail now and then, up to so many times in a row."""
        drawn = self._seeded.random()
        if drawn < 0.01:
            self.killed += 1
            raise Killed
        if drawn < 0.02:
            self._failing[metadata.position] += self._seeded.randrange(1, 4)
        if self._failing[metadata.position]:
            self._failing[metadata.position] -= 1
            self.failed += 1
            raise ValueError("not now")

    def live(self, generation: int, turns: int) -> ProjectionRow | None:
        """Live for so many turns at most; return how far it came, or None if it was killed before that was known."""
        row: ProjectionRow | None = None
        projection = happenings(self.trouble, self._seeded.choice(BATCHES))
        with following(projection, self._store, clock=self._clock) as projecting, contextlib.suppress(Killed):
            for _ in range(turns):
                row = projecting.turn(generation).row
        self._clock.advance(1)
        return row

    def to_the_end(self, generation: int) -> None:
        """Live again and again until every event is in the tables."""
        for _ in range(1_000):
            row = self.live(generation, self._seeded.randrange(2, 20))
            if row is not None and row.position == self._store.head() and not row.failures:
                return
        raise AssertionError("it does not come to an end")


def calm(_metadata: Metadata, _tables: Tables) -> None:
    """Let nothing happen."""


def rows_of(database: str, generation: int) -> Iterator[list[tuple[Any, ...]]]:
    yield asked(database, f"SELECT * FROM happenings_g{generation} ORDER BY position")
    yield asked(database, f"SELECT * FROM chains_g{generation} ORDER BY correlation_id")


def test_rows_are_those_of_a_rebuild_whatever_the_history_and_whenever_they_are_written(
    each_sql_database: str, request: pytest.FixtureRequest
) -> None:
    """Invariants 44 and 45: the log grows while it is read, in batches of any size, by processes that end anywhere."""
    seed = int(request.config.getoption("--seed") or SystemRandom().randrange(10**6))
    print(f"repeat it with --seed {seed}")
    seeded = random.Random(seed)
    with opened(each_sql_database) as store:
        lives = Lives(store, seeded)
        entries, given = list(mixed(logs(), seeded, AT_ONCE)), 0
        with following(happenings(lives.trouble, 1), store) as projecting:
            generation = begin(projecting).generation
        while given < len(entries):
            piece = seeded.choice(PIECES)
            give(store, entries[given : given + piece])
            given += piece
            lives.live(generation, seeded.randrange(4))
        lives.to_the_end(generation)
        with following(happenings(lives.trouble, 1), store) as projecting:
            again = begin(projecting).generation
        lives.to_the_end(again)
        live, rebuilt = rows_of(each_sql_database, generation), rows_of(each_sql_database, again)
        for left, right in zip(live, rebuilt, strict=True):
            assert left == right
        with following(happenings(calm, 10_000), store) as undisturbed:
            compared = verify(undisturbed)
    assert compared.differences == []
    kinds = Counter(kind for (kind,) in asked(each_sql_database, "SELECT kind FROM happenings"))
    assert kinds.keys() == TOLD
    assert lives.killed > 0
    assert lives.failed > 0
    print(f"{len(entries)} entries, killed {lives.killed} times, {lives.failed} failures")
