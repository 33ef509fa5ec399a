"""Every verb on sagas that are under way, with a crash at every point: each is recorded once, and nothing is lost."""

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context

import pytest
from lab.operating import everybody, findings
from lab.settling import STORIES, Asked, How, check_verbs, settled

from sagalog.saga.actions.rules import VERBS

# Of all ways and moments, the suite of every day takes each n-th; `--seeds 1` takes all, `--seeds 5` each fifth.
EACH: Mapping[How, int] = {"alone": 149, "in pairs": 601, "crashed twice": 307}
# As few as leave out no answer.
WHOLE = 20


@pytest.mark.simulation
@pytest.mark.parametrize("how", EACH)
def test_every_verb_with_a_crash_at_every_point(request: pytest.FixtureRequest, how: How) -> None:
    """Invariants 13, 15, 17, 18, 19, 23, 24, 29, 30, 39, 48 and 49."""
    every = int(request.config.getoption("--seeds") or EACH[how])
    # Each story begins elsewhere, so that together they take different ways.
    firsts = [number * every // len(STORIES) for number in range(len(STORIES))]
    counts: Counter[str] = Counter()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        checked = list(pool.map(check_verbs, STORIES, repeat(how), repeat(every), firsts))
    for story, (counted, found) in zip(STORIES, checked, strict=True):
        assert not found, (story, dict(list(found.items())[:5]))
        counts += counted
    print(f"{counts.total()} answers: {counts}")
    assert counts.total() > 1_000
    # Each is allowed somewhere and refused somewhere else, and was crashed at every point.
    answers = [f"{verb} {became}" for verb in VERBS for became in ("taken", "refused")]
    assert every > WHOLE or not [one for one in answers if not counts[one]], counts


@pytest.mark.parametrize(
    ("story", "asked"),
    [
        ("its grandchild is refused", [Asked("pause", then=Asked("unpause"))]),
        ("a mistake before the pivot", [Asked("cancel")]),
        ("a mistake before the pivot", [Asked("retry"), Asked("reschedule", {"at": 0.5, "deadline": True})]),
    ],
    ids=["paused", "stuck", "stuck, and late"],
)
def test_a_step_that_was_begun_before_stays_in_doubt_for_the_next_owner(story: str, asked: list[Asked]) -> None:
    """Invariants 23 and 24: a worker is killed at any point, and the saga goes back while it is paused or stuck."""
    people = [one.operation(f"a-{number}", 3, 0.0) for number, one in enumerate(asked)]
    for point in range(1, 30):
        scenario, _ = settled(story, people, point)
        assert findings(scenario, list(everybody(people))) == [], point


def test_of_two_who_fork_at_once_one_goes_on_and_the_other_is_refused() -> None:
    """Invariant 49: whoever looked before the other's fork was there is refused by the saga itself, and recorded."""
    given_up = Asked("abandon", then=Asked("fork", {"step": "charge"}))
    people = [given_up.operation(f"a-{number}", 7, 0.0) for number in range(2)]
    for point in range(1, 30):
        scenario, _ = settled("nobody knows whether it closed", people, point)
        assert findings(scenario, list(everybody(people))) == [], point
