"""Invariant 43 among processes: a projection is counted against the log that many write, one of them held up for long.

It is small unless it is asked for more: `--events 200000 --held 60 -s` also says what was seen.
"""

import os
import subprocess
import sys
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from databases.catalogs import plain
from databases.open_transactions import held_open, looked_from, writers_that_wait
from databases.stores import migrated_database, opened

from sagalog.store import Store
from sagalog.stores.postgres.connection import SQL

pytestmark = pytest.mark.slow

EVENTS = 4000
HELD_SECONDS = 1.0
COUNTERS = 2
AT_ONCE = (5, 10, 20, 40)
EVERY = 0.05
PATIENCE = 600.0
SEEN = "SELECT position FROM seen"
LOG = "SELECT position FROM saga_history"
REACHED = "SELECT position FROM saga_projections WHERE projection = 'seen' AND status = 'live'"


class Cast:
    """The processes of one run; all of them are gone after it. What they say of trouble is in a file."""

    def __init__(self, database: str, said: Path) -> None:
        self._database = database
        self._said = said
        self.running: list[subprocess.Popen[str]] = []

    def start(self, module: str, *arguments: str) -> "subprocess.Popen[str]":
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        command = [sys.executable, "-P", "-m", f"read_models.{module}", self._database, *arguments]
        with self._said.open("a") as said:
            process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=said, text=True)
        self.running.append(process)
        return process

    def end(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


class Watch:
    """Looks where the log and the projection are, again and again."""

    def __init__(self, database: str, store: Store) -> None:
        self._database = database
        self._store = store
        self.times: list[float] = []
        self.heads: list[int] = []
        self.reached: list[int] = []

    def until(self, has_happened: Callable[[], bool]) -> None:
        """Look until something has happened; fail if it has not by the time a large run takes."""
        began = time.monotonic()
        with plain(self._database) as connection:
            while time.monotonic() - began < PATIENCE:
                self.times.append(time.monotonic())
                self.heads.append(self._store.head())
                [(position,)] = connection.execute(REACHED).fetchall()
                self.reached.append(position)
                if has_happened():
                    return
                # Other processes work meanwhile; what is waited for is what they write, and for no time.
                time.sleep(EVERY)
        raise AssertionError(f"it has not happened: the log ends at {self.heads[-1]}, read up to {self.reached[-1]}")

    @property
    def most_events_behind(self) -> int:
        return max(head - position for head, position in zip(self.heads, self.reached, strict=True))

    @property
    def most_seconds_behind(self) -> float:
        """Return the age of the oldest event that was not in the tables, at worst, as far as the looks can tell."""
        behind = [0.0]
        for now, head, position in zip(self.times, self.heads, self.reached, strict=True):
            if head > position:
                behind.append(now - self.times[bisect_right(self.heads, position)])
        return max(behind)


class Run:
    """Writers, counters, and somebody who holds a transaction open; `bugs` are planted in the processes."""

    def __init__(self, database: str, store: Store, cast: Cast, events: int, held: float) -> None:
        self.database = database
        self.events = events
        self.held = held
        self.watch = Watch(database, store)
        self.seconds = 0.0
        self._store = store
        self._cast = cast
        self._until = 0.0

    def make(self, writers: int, counters: int, *bugs: str) -> None:
        """Let everybody write and count until all is written and counted."""
        for counter in [self._cast.start("counting_process", *bugs) for _ in range(counters)]:
            assert counter.stdout is not None
            assert counter.stdout.readline() == "counting\n"
        share, began = str(self.events // writers), time.monotonic()
        writing = [
            self._cast.start("writing_process", f"w{number}", share, str(AT_ONCE[number % len(AT_ONCE)]), *bugs)
            for number in range(writers)
        ]
        with looked_from(self.database):
            self.watch.until(lambda: self._store.head() > self.events // 3)
            self._hold("unlocked" in bugs)
        self.watch.until(lambda: all(one.poll() is not None for one in writing))
        assert {one.returncode for one in writing} == {0}
        self.watch.until(lambda: self.watch.reached[-1] >= self._store.head())
        self.seconds = time.monotonic() - began

    def _hold(self, passes: bool) -> None:
        """Hold a transaction of the log open; nobody `passes` it but writers that do not lock the log."""
        with held_open(self.database) as commit:
            began, head = time.monotonic(), self._store.head()

            def is_over() -> bool:
                if passes:
                    return self.watch.reached[-1] > head + 1
                return time.monotonic() - began > self.held and self._somebody_waits()

            self.watch.until(is_over)
            assert (self._store.head() > head) == passes
            commit()

    def _somebody_waits(self) -> bool:
        return self._store.name == "sqlite" or writers_that_wait(self.database) > 0

    def skipped_and_doubled(self) -> tuple[int, int]:
        """Return how many events of the log are in no row, and how many rows there are too many."""
        with plain(self.database) as connection:
            log = {position for (position,) in connection.execute(LOG)}
            seen = Counter(position for (position,) in connection.execute(SEEN))
        assert len(log) >= self.events
        return len(log - seen.keys()), seen.total() - len(seen)


@pytest.fixture
def run(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> Iterator[Run]:
    """A run on a database of each kind, as large as the command line says."""
    database = migrated_database(kind, tmp_path, request)
    assert isinstance(database, str)
    cast = Cast(database, tmp_path / "said.txt")
    events = int(request.config.getoption("--events") or EVENTS)
    held = float(request.config.getoption("--held") or HELD_SECONDS)
    with opened(database) as store:
        try:
            yield Run(database, store, cast, events, held)
        finally:
            cast.end()


@pytest.mark.parametrize(("kind", "writers"), [("sqlite", 4), pytest.param("postgres", 8, marks=pytest.mark.postgres)])
def test_no_event_is_skipped_while_many_processes_write_and_one_is_held_up(run: Run, writers: int) -> None:
    """Invariants 43 and 44: each event is there once, whoever was given its position first and committed it late."""
    run.make(writers, COUNTERS)
    skipped, doubled = run.skipped_and_doubled()
    watch = run.watch
    print(
        f"{run.seconds:.0f} s, up to {watch.heads[-1]:,}; behind at most {watch.most_events_behind:,} events and "
        f"{watch.most_seconds_behind:.1f} s; skipped {skipped}, doubled {doubled}"
    )
    assert (skipped, doubled) == (0, 0)


@pytest.mark.parametrize(
    ("kind", "bug"),
    [
        ("sqlite", "hasty"),
        pytest.param("postgres", "hasty", marks=pytest.mark.postgres),
        pytest.param("postgres", "unlocked", marks=pytest.mark.postgres),
    ],
)
def test_a_planted_bug_skips_events(run: Run, bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bugs are planted: a position passes what was not read, or writers take positions without the log's lock."""
    if bug == "unlocked":
        # Whoever is held up is one of these writers.
        monkeypatch.setitem(SQL, "lock_log", b"SELECT 1")
    run.events = 1200
    run.make(2, 1, bug)
    skipped, _ = run.skipped_and_doubled()
    assert skipped > 0
