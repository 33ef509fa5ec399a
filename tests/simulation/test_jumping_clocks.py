"""Simulations in which the clocks of processes are wrong for some seconds, by up to an hour, amid crashes."""

import pytest
from lab.scenarios import at_random, check_seeds, told

from sagalog.testing.simulation.faults import Odds

ODDS = Odds(crash=0.02, pause=0.0, unavailable=0.03, jump=0.05, most=6)


# A worker that dies while its clock is an hour ahead leaves a lease, and times to try again, that are over in an hour.
UNTIL_ALL_IS_OVER = 9000.0


@pytest.mark.simulation
def test_every_invariant_holds_while_clocks_jump() -> None:
    """A lease is lost to a clock that is set, and nothing is decided twice, lost, or left lying."""
    found = check_seeds(range(150), lambda seed: at_random(seed, ODDS, most_seconds=UNTIL_ALL_IS_OVER))
    assert not found, told(found)
