"""Simulations in which processes lose their sign of life: they die, or their connection is cut while they live."""

import pytest
from lab.scenarios import at_random, check_seeds, told

from sagalog.testing.simulation.faults import Odds
from sagalog.testing.simulation.run import SETTINGS

ODDS = Odds(crash=0.03, pause=0.02, unavailable=0.03, cut=0.08, most=10)
# What is silent is taken over long before the lease ends, and a cut lasts for longer than that.
QUICK = SETTINGS.model_copy(update={"poll": 0.2})


@pytest.mark.simulation
def test_every_invariant_holds_whoever_is_taken_for_dead(request: pytest.FixtureRequest) -> None:
    """Invariants 5, 15, 18, 19, 33 and 35: a living worker that is cut off makes no second decision, and loses none."""
    number = int(request.config.getoption("--seeds") or 300)
    found = check_seeds(range(number), lambda seed: at_random(seed, ODDS, settings=QUICK, workers=2))
    assert not found, told(found)


@pytest.mark.simulation
def test_in_some_of_the_simulations_the_living_are_taken_over_and_the_dead_before_their_lease_ends() -> None:
    cut = before = 0
    for seed in range(40):
        scenario = at_random(seed, ODDS, settings=QUICK, workers=2)
        assert scenario.findings() == []
        for entry in scenario.simulation.world.trace:
            if entry.kind == "lost" and entry.incarnation is not None:
                died = entry.incarnation.died_at
                cut += died is None or died > entry.at
                before += died is not None and entry.at - died < SETTINGS.lease * 2 / 3
    assert cut > 5
    assert before > 5
