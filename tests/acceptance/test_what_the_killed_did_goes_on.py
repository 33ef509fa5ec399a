"""What a worker did goes on within a second after it was killed, and is done by nobody else while it only seems dead.

How long it takes is measured by `tests/benchmarks/taken_over.py`; here it is only told from waiting for the lease.
"""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from threading import Event, Thread

import psycopg
import pytest
from databases.stores import EACH_KIND, migrated_database, opened
from servers.chaos_proxy import ChaosProxy
from taken_over.beating import LEASE
from taken_over.lives import Gap, Lives, beside_another, busy, restarted
from torture.snapshot import can_be_written

from sagalog.store import Query

pytestmark = pytest.mark.crash

SHORT = 3.0
# Whose lease has just been renewed has all of it left, whose is about to be, two thirds of it.
LEAST = SHORT / 2


@pytest.fixture(params=EACH_KIND[1:])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    found = migrated_database(request.param, tmp_path, request)
    assert isinstance(found, str)
    return found


@pytest.mark.parametrize("way", [restarted, beside_another])
def test_nobody_waits_for_the_lease_of_the_killed(
    way: Callable[[str, Path, int], list[Gap]], database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Invariants 33 and 35."""
    gaps = way(database, tmp_path, int(request.config.getoption("--kills") or 0))
    print([f"{gap.steps:.2f} s" for gap in gaps])
    assert max(gap.steps for gap in gaps) < LEASE / 2
    assert max(gap.messages for gap in gaps) < LEASE / 2


def test_a_child_that_a_handler_has_forked_does_not_keep_its_parent_alive(database: str, tmp_path: Path) -> None:
    with busy(database, tmp_path, name="parent") as (lives, parent):
        other = lives.ready(lives.worker())
        assert lives.gap(parent.kill(), other).steps < LEASE / 2


def assert_each_was_decided_once(database: str, lives: Lives) -> None:
    """Check that the sagas have ended, and that each step is recorded once."""
    lives.let_them_end()
    with opened(database) as store:
        give_up = time.monotonic() + LEASE
        while any(row.status != "completed" for row in store.find(Query())) and time.monotonic() < give_up:
            time.sleep(0.02)
        rows = store.find(Query())
        assert Counter(row.status for row in rows) == {"completed": len(rows)}
        for row in rows:
            types = [event.topic.split(".")[1] for event in store.read(row.saga_id)]
            assert types == ["SagaStarted", "StepSucceeded", "StepSucceeded", "SagaCompleted"]


def test_a_worker_that_stands_still_is_followed_after_its_lease_and_not_before(database: str, tmp_path: Path) -> None:
    """A lock is held by whoever stands still. Invariants 5 and 35."""
    with busy(database, tmp_path, SHORT) as (lives, first):
        other = lives.ready(lives.worker())
        stopped_at = time.time()
        first.process.send_signal(SIGSTOP)
        while not all(can_be_written(path) for path in tmp_path.glob("*.db")):
            # Whoever has a lock on the file would keep it.
            first.process.send_signal(SIGCONT)
            stopped_at = time.time()
            first.process.send_signal(SIGSTOP)
        gap = lives.gap(stopped_at, other)
        assert min(gap.began.values()) > LEAST
        first.process.send_signal(SIGCONT)
        assert_each_was_decided_once(database, lives)


@pytest.mark.postgres
def test_a_network_that_swallows_everything_is_found_by_the_lease(migrated_postgres_url: str, tmp_path: Path) -> None:
    with (
        ChaosProxy(migrated_postgres_url) as proxy,
        busy(migrated_postgres_url, tmp_path, SHORT, behind=proxy.url) as (lives, _),
    ):
        other = lives.ready(lives.worker())
        swallowed_at = time.time()
        proxy.swallow = True
        assert min(lives.gap(swallowed_at, other).began.values()) > LEAST
        proxy.heal()
        assert_each_was_decided_once(migrated_postgres_url, lives)


def sessions_of(name: str, which: str) -> bytes:
    """Return the statement that ends sessions of a worker, and says how many there were."""
    return (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        f"WHERE datname = current_database() AND application_name = '{name}' AND {which}"
    ).encode()


ITS_LOCK = "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 'saga_workers'::regclass)"
ALL = "true"
FIRST = "SELECT worker_id FROM saga_workers ORDER BY worker_id LIMIT 1"
# How many locks of a worker are cut, one after the other.
CUTS = 10


@pytest.mark.postgres
@pytest.mark.parametrize("which", [ITS_LOCK, ALL], ids=["the one that shows life", "all"])
def test_a_worker_whose_sessions_are_cut_once_keeps_what_it_does(
    migrated_postgres_url: str, tmp_path: Path, which: str
) -> None:
    """It shows life again before anybody takes it for dead, and no attempt is made twice."""
    behind = f"{migrated_postgres_url}?application_name=cut"
    with (
        busy(migrated_postgres_url, tmp_path, behind=behind) as (lives, first),
        psycopg.connect(migrated_postgres_url, autocommit=True) as session,
    ):
        lives.ready(lives.worker())
        before = session.execute(FIRST).fetchall()
        [(ended,)] = session.execute(sessions_of("cut", which))
        assert ended > 0
        assert_each_was_decided_once(migrated_postgres_url, lives)
        assert {line.who for line in lives.lines() if line.what.startswith("step:")} == {first.name}
        assert session.execute(FIRST).fetchall() == before


@pytest.mark.postgres
def test_a_worker_whose_lock_is_cut_again_and_again_decides_nothing_twice(
    migrated_postgres_url: str, tmp_path: Path
) -> None:
    """Invariants 5 and 35: it renews its lease and says at last that only that tells of it."""
    behind = f"{migrated_postgres_url}?application_name=cut"
    with (
        busy(migrated_postgres_url, tmp_path, behind=behind) as (lives, first),
        psycopg.connect(migrated_postgres_url, autocommit=True) as session,
    ):
        lives.ready(lives.worker())
        cuts = 0
        while cuts < CUTS:
            [(ended,)] = session.execute(sessions_of("cut", ITS_LOCK))
            cuts += ended
        assert_each_was_decided_once(migrated_postgres_url, lives)
        assert first.process.poll() is None


@pytest.mark.postgres
def test_a_living_worker_that_was_taken_for_dead_decides_nothing_twice_and_loses_no_outcome(
    migrated_postgres_url: str, tmp_path: Path
) -> None:
    """Invariants 5, 20 and 35: its sessions are cut again and again, until another one does what it does."""
    behind = f"{migrated_postgres_url}?application_name=cut"
    over = Event()

    def cut() -> None:
        with psycopg.connect(migrated_postgres_url, autocommit=True) as session:
            while not over.is_set():
                session.execute(sessions_of("cut", ALL))

    with busy(migrated_postgres_url, tmp_path, behind=behind) as (lives, first):
        other = lives.ready(lives.worker())
        cutting = Thread(target=cut)
        cutting.start()
        try:
            lives.until(lambda lines: lives.is_busy(other, lines))
        finally:
            over.set()
            cutting.join()
        assert_each_was_decided_once(migrated_postgres_url, lives)
        assert first.process.poll() is None
