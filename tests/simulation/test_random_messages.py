"""Simulations of sagas that speak by messages: doubled, late, out of order, unacknowledged, with crashes everywhere."""

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import pytest
from lab.message_scenarios import OUTCOMES, SEEDED, check_crashes, messages_at_random
from lab.scenarios import check_seeds, told

from sagalog.codec import CODEC
from sagalog.saga import events as e
from sagalog.store import UnmatchedQuery

CHUNK = 100
# A simulation of messages takes ten times as long as one of plain steps; `--seeds` runs as many as are asked for.
EVERY_DAY = 1_000


@pytest.mark.simulation
def test_every_invariant_holds_whatever_becomes_of_messages(request: pytest.FixtureRequest) -> None:
    """Invariants 2, 3, 4, 5, 6, 7, 15, 18, 19, 20, 22, 23, 32, 34, 36, 39, 43 and 48, whatever seeds draw."""
    seed = request.config.getoption("--seed")
    if seed is not None:
        findings = messages_at_random(int(seed)).findings()
        assert not findings, told({int(seed): findings}, SEEDED)
        return
    number = int(request.config.getoption("--seeds") or EVERY_DAY)
    chunks = [range(first, min(first + CHUNK, number)) for first in range(0, number, CHUNK)]
    found: dict[int, list[str]] = {}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for chunk in pool.map(partial(check_seeds, scenario=messages_at_random), chunks):
            found |= chunk
    assert not found, told(found, SEEDED)


@pytest.mark.simulation
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_crash_at_any_point_changes_no_outcome(outcome: str) -> None:
    """Invariants 3, 5, 7, 15, 20, 32 and 34: before and after each write and each effect, here and at the service."""
    runs, found = check_crashes(outcome)
    assert not found, found
    assert runs > 20


def missing_of(seen: Counter[str]) -> set[str]:
    hard = ("refused by a tombstone", "parked", "late", "kept", "refused start", "sent again")
    return {name for name in (*hard, "completed", "failed", "stuck") if not seen[name]}


def test_the_simulations_get_to_where_messages_are_hard() -> None:
    """None of the above would prove anything if nothing was late, doubled, refused or parked."""
    seen: Counter[str] = Counter()
    for seed in range(400):
        if seed > 60 and not missing_of(seen):
            break
        scenario = messages_at_random(seed)
        scenario.findings()
        store = scenario.simulation.world.store
        network = scenario.simulation.network
        assert network is not None
        seen["refused by a tombstone"] += network.service.refused_late
        seen["parked"] += len(store.unmatched(UnmatchedQuery(statuses=(), limit=1000)))
        for row in store.rows():
            seen[row.status] += 1
            events = CODEC.decode_all((stored.topic, stored.state) for stored in store.read(row.saga_id))
            seen["late"] += sum(isinstance(event, e.StepSucceeded) and event.late for event in events)
            seen["kept"] += sum(isinstance(event, e.EventReceived) and event.kept for event in events)
            seen["refused start"] += sum(isinstance(event, e.StartRefused) for event in events)
            seen["sent again"] += sum(isinstance(event, e.RequestSent) and event.attempt > 1 for event in events)
    assert not missing_of(seen), seen
