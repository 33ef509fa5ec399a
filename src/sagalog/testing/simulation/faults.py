"""What may go wrong in a simulation, and when: crash points as data, seeded or enumerated. It breaks nothing itself."""

import random
from typing import Literal, Protocol

from msgspec import Struct

# crash: the process ends here. pause: it stands still for longer than its lease. unavailable: the store or the service
# does not answer (before: nothing was done; after: it was done and the acknowledgement is lost). What is about writes
# only: the database cannot be written for a while ("read-only"), refuses one write for a while, answers to one as if it
# were in trouble for all ("locked"), or has too little time for what it is given ("too large"). jump: the clock of the
# process is wrong for a while.
Fault = Literal["crash", "pause", "unavailable", "read-only", "refused", "locked", "too large", "jump"]
# append: events are written. effect: a service does something. store: any other call to the store.
Where = Literal["append", "effect", "store"]
When = Literal["before", "after"]


class Faults(Protocol):
    """What decides at each point of a run whether something goes wrong there."""

    def at(self, where: Where, when: When) -> Fault | None:
        """Return what goes wrong at this point, or None; it is asked once for each point that is passed."""
        ...


class NoFaults:
    """A world in which everything goes well."""

    def at(self, where: Where, when: When) -> Fault | None:
        """Return None."""
        return None


class CrashAt:
    """Crashes at the points with these numbers, counted from 1 over all appends and effects, before and after each.

    `passed` counts the points that have been passed: run once without crashes to know how many there are.
    """

    def __init__(self, *points: int) -> None:
        self._points = points
        self.passed = 0

    def at(self, where: Where, when: When) -> Fault | None:
        """Return "crash" at the chosen points."""
        if where == "store":
            return None
        self.passed += 1
        return "crash" if self.passed in self._points else None


class Odds(Struct, frozen=True, kw_only=True):
    """How likely each fault is at one point, as a share of 1, and how many there are before the world calms down."""

    crash: float = 0.03
    pause: float = 0.01
    unavailable: float = 0.04
    read_only: float = 0.0
    refused: float = 0.0
    locked: float = 0.0
    too_large: float = 0.0
    jump: float = 0.0
    most: int = 8


class RandomFaults:
    """Faults drawn from a seed until there were `odds.most`: a world that never calms down proves nothing."""

    def __init__(self, seeded: random.Random, odds: Odds) -> None:
        self._seeded = seeded
        self._odds = odds
        self._shares: tuple[tuple[Fault, float], ...] = (
            ("crash", odds.crash),
            ("pause", odds.pause),
            ("unavailable", odds.unavailable),
            ("read-only", odds.read_only),
            ("refused", odds.refused),
            ("too large", odds.too_large),
            ("jump", odds.jump),
            ("locked", odds.locked),
        )
        self.made = 0

    def at(self, where: Where, when: When) -> Fault | None:
        """Return what goes wrong at this point, or None."""
        if self.made >= self._odds.most:
            return None
        drawn = self._seeded.random()
        fault: Fault | None = None
        for kind, share in self._shares:
            if drawn < share:
                # Only what is written can be refused.
                fault = kind if where == "append" or kind in ("crash", "pause", "unavailable", "jump") else None
                break
            drawn -= share
        self.made += fault is not None
        return fault
