"""Every verb in ten thousand random states: what is previewed is written, and what is allowed leads to a sound end."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from lab.acting import check_states
from lab.scenarios import told

from sagalog.saga.actions.rules import VERBS

CHUNK = 250
# The suite of every day has a part of them; `--seeds 10000` is the whole.
EVERY_DAY = 1_500


@pytest.mark.simulation
def test_every_verb_is_exact_in_any_state(request: pytest.FixtureRequest) -> None:
    """Invariants 15, 24, 30, 39, 48 and 49: plain, parallel, for_each, children, waits, requests, choreographies."""
    number = int(request.config.getoption("--seeds") or EVERY_DAY)
    chunks = [range(first, min(first + CHUNK, number)) for first in range(0, number, CHUNK)]
    counts: dict[str, int] = {}
    found: dict[int, list[str]] = {}
    # Spawned, not forked: a test run has threads.
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for counted, wrong in pool.map(check_states, chunks):
            counts = {name: counts.get(name, 0) + counted.get(name, 0) for name in {*counts, *counted}}
            found |= wrong
    assert not found, told(found)
    seldom = [f"{verb} {how}" for verb in VERBS for how in ("taken", "refused") if counts.get(f"{verb} {how}", 0) < 10]
    assert not seldom, counts
