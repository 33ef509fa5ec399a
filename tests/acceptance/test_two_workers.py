"""Two workers on one database: what one leaves, however it ends, the other goes on with; never do both append."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGTERM, Signals

import pytest
from servers.postgres_server import PostgresServer
from torture.journals import Journals
from torture.snapshot import column, pairs
from torture.stage import Stage, a_database, wait_until

pytestmark = pytest.mark.crash

# Longer than a commit takes on a disk that other tests keep busy (1.6 s were seen): a lease that runs out by itself is
# not what these tests are about.
LEASE = 2.5
POLL = 0.05
SETTINGS = {"lease": LEASE, "poll": POLL, "grace": 10.0}
# What a busy machine may add: nothing here may take another lease, and never what a test waits for at most.
MARGIN = 0.9
PATIENCE = 20.0
ORDERS = 32


@pytest.fixture
def stage(server: PostgresServer | None, tmp_path: Path) -> Iterator[Stage]:
    """A stage without a process on it."""
    with a_database(tmp_path, server) as database, Stage(database, tmp_path, SETTINGS) as stage:
        yield stage


def owned_by(stage: Stage, pid: int) -> int:
    """Return how many sagas a process owns."""
    return pairs(stage.database, "owners").get(pid, 0)


def two_workers(stage: Stage, *, slow: float, others_slow: float = 0.0, **order: object) -> tuple[int, int]:
    """Let one slow worker own all orders while another stands by, and return their pids."""
    stage.start_orders(ORDERS - 1)
    first = stage.worker("first", slow=slow, **order)
    wait_until(lambda: owned_by(stage, first) == ORDERS, PATIENCE)
    second = stage.worker("second", slow=others_slow)
    wait_until(lambda: second in column(stage.database, "workers"), PATIENCE)
    wait_until(lambda: len(stage.journals().calls) > 0, PATIENCE)
    return first, second


def assert_nothing_is_wrong(stage: Stage) -> Journals:
    """Run every check, and return the journals for more."""
    journals = stage.journals()
    assert not stage.violations(stage.snapshot_at_rest(PATIENCE), journals)
    return journals


def test_the_other_worker_finishes_what_one_was_killed_on_within_the_lease(stage: Stage) -> None:
    """Invariants 15, 33 and 35."""
    first, _ = two_workers(stage, slow=0.15)
    assert owned_by(stage, first) > 0
    killed = time.time_ns() // 1000
    stage.processes.kill(first)

    stage.at_rest(PATIENCE)
    journals = assert_nothing_is_wrong(stage)
    claims = [claim for claims in journals.claims.values() for claim in claims if claim.told_at > killed]
    assert claims
    longest = max(claim.told_at - killed for claim in claims) / 1e6
    print(f"{len(claims)} sagas taken over within {longest:.2f} s of the kill, lease {LEASE} s, poll {POLL} s")
    assert longest < LEASE + POLL + MARGIN


def test_a_worker_that_was_stopped_past_its_lease_appends_nothing_when_it_wakes(stage: Stage) -> None:
    """Invariant 35: the lease says who may begin, the version and the owner say who may append."""
    first, second = two_workers(stage, slow=0.15)
    stage.stop(first)
    assert owned_by(stage, first) > 0
    stage.at_rest(PATIENCE)
    finished = stage.snapshot()

    stage.processes.signal(first, SIGCONT)
    wait_until(lambda: stage.journals().conflicts("first") > 0, PATIENCE / 2)
    # It is a worker again, under another name: alone, it does what comes next.
    stage.processes.kill(second)
    stage.start_orders(ORDERS + 9)
    stage.at_rest(PATIENCE)

    assert assert_nothing_is_wrong(stage).conflicts("first") > 0, "it was in the middle of nothing"
    again = stage.snapshot().streams()
    assert len(again) == ORDERS + 10
    appended = [event for saga_id, stream in finished.streams().items() for event in again[saga_id][len(stream) :]]
    assert not appended


def test_a_worker_that_wakes_while_the_other_is_on_its_sagas_appends_nothing(stage: Stage) -> None:
    """Invariant 35: nothing has been appended since, so that only the owner tells the two apart."""
    first, _ = two_workers(stage, slow=0.15, others_slow=0.3)
    stage.stop(first)
    wait_until(lambda: owned_by(stage, first) == 0, PATIENCE)
    stage.processes.signal(first, SIGCONT)
    wait_until(lambda: stage.journals().conflicts("first") > 0, PATIENCE / 2)
    stage.at_rest(PATIENCE)
    assert assert_nothing_is_wrong(stage).conflicts("first") > 0, "it was in the middle of nothing"


@pytest.fixture
def stage_with_a_long_lease(stage: Stage) -> Stage:
    """A stage on which nothing is taken over because of a lease while a test waits."""
    stage.settings = {**stage.settings, "lease": 2 * PATIENCE}
    return stage


def test_a_terminated_worker_ends_its_steps_and_gives_its_sagas_back_at_once(stage_with_a_long_lease: Stage) -> None:
    """The other worker goes on without waiting for the lease, and no step is made again."""
    stage = stage_with_a_long_lease
    first, _ = two_workers(stage, slow=0.15)
    assert owned_by(stage, first) > 0
    stage.processes.signal(first, SIGTERM)

    assert stage.processes.wait(first, PATIENCE) == 0
    assert owned_by(stage, first) == 0
    assert stage.at_rest(PATIENCE) < PATIENCE
    journals = assert_nothing_is_wrong(stage)
    calls = Counter(call.key for call in journals.calls)
    fine = {row.saga_id for row in stage.snapshot().statuses.values() if row.saga_key.endswith("-fine")}
    assert {number for key, number in calls.items() if key.split(":")[0] in fine} == {1}
    assert {call.process for call in journals.calls} == {"first", "second"}


@pytest.fixture
def stage_on_a_file(tmp_path: Path) -> Iterator[Stage]:
    """A stage for what has nothing to do with the database."""
    with a_database(tmp_path, None) as database, Stage(database, tmp_path, SETTINGS) as stage:
        yield stage


@pytest.mark.parametrize(("signal", "again"), [(SIGTERM, SIGTERM), (SIGINT, SIGINT), (SIGTERM, SIGINT)])
def test_a_second_signal_ends_a_worker_at_once(stage_on_a_file: Stage, signal: Signals, again: Signals) -> None:
    """Its steps would take longer than anybody waits; the other worker makes them again after the lease."""
    stage = stage_on_a_file
    first, _ = two_workers(stage, slow=3 * PATIENCE, level="INFO")
    stage.processes.signal(first, signal)
    wait_until(lambda: "no new sagas are claimed" in stage.log.read_text(encoding="utf-8"), PATIENCE)
    stage.processes.signal(first, again)

    assert stage.processes.wait(first, 2.0) == -again
    stage.at_rest(PATIENCE)
    assert_nothing_is_wrong(stage)
