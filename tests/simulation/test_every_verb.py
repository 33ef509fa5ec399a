"""Every verb on sagas that are under way, with a crash at every point: each is recorded once, and nothing is lost."""

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context

import pytest
from lab.operating import everybody, findings
from lab.settling import STORIES, Asked, check_verbs, settled

from sagalog.saga.actions.rules import VERBS

# Of all ways and moments, the suite of every day takes each n-th; `--seeds 1` takes all, `--seeds 5` each fifth.
ALONE, IN_PAIRS = 149, 601
# As few as leave out no answer.
WHOLE = 20


@pytest.mark.simulation
@pytest.mark.parametrize(("in_pairs", "few"), [(False, ALONE), (True, IN_PAIRS)], ids=["alone", "in pairs"])
def test_every_verb_with_a_crash_at_every_point(request: pytest.FixtureRequest, in_pairs: bool, few: int) -> None:
    """Invariants 13, 15, 17, 18, 19, 23, 24, 29, 30, 39, 48 and 49."""
    every = int(request.config.getoption("--seeds") or few)
    counts: Counter[str] = Counter()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        # Each story begins elsewhere, so that together they take different ways.
        firsts = [number * every // len(STORIES) for number in range(len(STORIES))]
        checked = list(pool.map(check_verbs, STORIES, repeat(in_pairs), repeat(every), firsts))
    for story, (counted, found) in zip(STORIES, checked, strict=True):
        assert not found, (story, dict(list(found.items())[:5]))
        counts += counted
    print(f"{counts.total()} answers: {counts}")
    assert counts.total() > 1_000
    # Each is allowed somewhere and refused somewhere else, and was crashed at every point.
    answers = [f"{verb} {how}" for verb in VERBS for how in ("taken", "refused")]
    assert every > WHOLE or not [one for one in answers if not counts[one]], counts


def test_a_step_that_was_begun_before_a_pause_stays_in_doubt_for_the_next_owner() -> None:
    """Invariants 23 and 24: a worker is killed at any point, and the saga is rolled back while it is paused."""
    people = [Asked("pause", then=Asked("unpause")).operation("a-1", 3, 0.0)]
    for point in range(1, 30):
        scenario, _ = settled("its grandchild is refused", people, point)
        assert findings(scenario, list(everybody(people))) == [], point
