"""Ten thousand simulations with crashes, pauses, lost answers and duplicates: after each, every invariant holds."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from lab.scenarios import at_random, check_seeds, told

CHUNK = 250
EVERY_DAY = 10_000


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int | None:
    """The one seed to repeat, if the command line names one."""
    found: int | None = request.config.getoption("--seed")
    return found


@pytest.mark.simulation
def test_every_invariant_holds_after_any_sequence_of_faults(request: pytest.FixtureRequest, seed: int | None) -> None:
    """Invariants 1, 5, 13, 15, 16, 17, 18, 19, 23, 24, 25, 33, 35, 39 and 48, over sagas and faults from seeds."""
    if seed is not None:
        findings = at_random(seed).findings()
        assert not findings, told({seed: findings})
        return
    number = int(request.config.getoption("--seeds") or EVERY_DAY)
    chunks = [range(first, min(first + CHUNK, number)) for first in range(0, number, CHUNK)]
    found: dict[int, list[str]] = {}
    # Spawned, not forked: a test run has threads.
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for chunk in pool.map(check_seeds, chunks):
            found |= chunk
    assert not found, told(found)


@pytest.mark.simulation
def test_the_same_seed_is_the_same_run() -> None:
    for seed in (3, 11, 42):
        runs = [at_random(seed) for _ in range(2)]
        for run in runs:
            run.findings()
        logs = [[(e.topic, e.state) for e in run.simulation.world.store.read_log(0, 10_000)] for run in runs]
        assert logs[0] == logs[1]
        assert len(logs[0]) > 1
