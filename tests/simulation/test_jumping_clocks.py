"""Simulations in which the clocks of processes are behind for some seconds, by up to an hour, amid crashes."""

import pytest
from scenarios import at_random, check_seeds, told

from sagalog.testing.faults import Odds

ODDS = Odds(crash=0.02, pause=0.0, unavailable=0.03, jump=0.05, most=6)


@pytest.mark.simulation
def test_every_invariant_holds_while_clocks_jump() -> None:
    """A lease is lost to a clock that is set back, and nothing is decided twice, lost, or left lying."""
    found = check_seeds(range(300), lambda seed: at_random(seed, ODDS))
    assert not found, told(found)
