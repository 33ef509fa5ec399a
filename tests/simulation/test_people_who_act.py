"""People act on sagas that run: each action is recorded once, and whatever is allowed leads to a sound end."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from lab.operating import KEY, MOMENTS, acting, check_cancels, check_operated, check_pairs, findings, length
from lab.scenarios import EVERY_OUTCOME, told

from sagalog.testing.simulation.run import Operation

# One for each kind of saga: plain, with parts, with children; and one that is stuck. With `--seeds` all are taken.
EVERY_DAY = (
    "completed",
    "declined",
    "the refund cannot be made",
    "the second line is refused",
    "its grandchild is refused",
)
CHUNK = 100


def outcomes(request: pytest.FixtureRequest) -> list[str]:
    return list(EVERY_OUTCOME) if request.config.getoption("--seeds") else list(EVERY_DAY)


@pytest.mark.simulation
def test_a_cancel_at_any_event_and_any_crash_leaves_nothing_standing(request: pytest.FixtureRequest) -> None:
    """Invariants 13, 15, 17, 18, 19, 24, 29, 30 and 49: at once, and during the attempt that follows."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        checked = list(pool.map(check_cancels, outcomes(request)))
    for outcome, (runs, cancelled, found) in zip(outcomes(request), checked, strict=True):
        assert not found, (outcome, dict(list(found.items())[:5]))
        # Some are allowed and some come too late, and each of them was crashed at every point.
        assert 0 < cancelled < runs, outcome


@pytest.mark.simulation
def test_of_two_people_who_act_at_once_each_is_answered_and_recorded_once(request: pytest.FixtureRequest) -> None:
    """Invariants 15, 32 and 49."""
    wanted = outcomes(request) if request.config.getoption("--seeds") else ["completed", "the refund cannot be made"]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        checked = list(pool.map(check_pairs, wanted))
    for outcome, (runs, found) in zip(wanted, checked, strict=True):
        assert not found, (outcome, dict(list(found.items())[:5]))
        assert runs > 100, outcome


@pytest.mark.simulation
def test_people_and_faults_at_random(request: pytest.FixtureRequest) -> None:
    """Invariants 5, 13, 15, 16, 17, 18, 19, 24, 33, 35, 39, 48 and 49."""
    number = int(request.config.getoption("--seeds") or 250)
    chunks = [range(first, min(first + CHUNK, number)) for first in range(0, number, CHUNK)]
    found: dict[int, list[str]] = {}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for chunk in pool.map(check_operated, chunks):
            found |= chunk
    assert not found, told(found)


@pytest.mark.simulation
def test_an_operator_against_a_worker_that_has_just_finished_a_step() -> None:
    """Exactly one wins, and both are recorded: the step's success, and the action, taken or refused."""
    ended: set[tuple[str, str]] = set()
    for version in range(1, length("completed") + 1):
        for after in (*MOMENTS, *(0.004 * number for number in range(12))):
            people = [Operation(verb="cancel", key=KEY, id="a-1", version=version, after=after)]
            scenario, _ = acting("completed", people)
            assert findings(scenario, people) == []
            ended.add((scenario.simulation.told["a-1"][:4], scenario.ends()[KEY]))
    assert ended == {("done", "failed"), ("canc", "completed")}
