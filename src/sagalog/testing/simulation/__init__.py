"""Deterministic simulation of the real engine, and what must hold once it has come to rest.

`Simulation` runs requests on a seeded loop of virtual time, with the crashes, pauses and lost answers that `faults`
chooses; `judge` reports violations afterwards. The names here may still change.
"""

from sagalog.testing.simulation.faults import Faults, Odds, RandomFaults
from sagalog.testing.simulation.run import Notice, Request, Simulation
from sagalog.testing.simulation.verdict import judge
from sagalog.testing.simulation.world import World

__all__ = ["Faults", "Notice", "Odds", "RandomFaults", "Request", "Simulation", "World", "judge"]
