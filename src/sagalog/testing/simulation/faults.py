"""What can go wrong in a simulation, and when: crash points as data, seeded or enumerated. It breaks nothing itself."""

import random
from typing import Literal, Protocol

from msgspec import Struct

# crash: the process ends here. pause: it stops for longer than its lease. unavailable: the store or the service does
# not answer (before: nothing was done; after: it was done, and the acknowledgement is lost). For writes only: the
# database is "read-only" for a while, refuses one write for a while, blames one write on the whole database ("locked"),
# or is too slow for the batch ("too large"). jump: the clock of the process is wrong for a while. cut: it loses its
# sign of life while it lives, and gets no other one for a while.
Fault = Literal["crash", "pause", "unavailable", "read-only", "refused", "locked", "too large", "jump", "cut"]
# append: events are written. effect: a service does something. store: any other call to the store.
Where = Literal["append", "effect", "store"]
When = Literal["before", "after"]


# All others are of a write.
OF_A_PROCESS = ("crash", "pause", "unavailable", "jump", "cut")


class Faults(Protocol):
    """Decides at each point of a run whether something goes wrong there."""

    def at(self, where: Where, when: When) -> Fault | None:
        """Return the fault at this point, or None; it is called once for each point that is passed."""
        ...


class NoFaults:
    """No faults at all."""

    def at(self, where: Where, when: When) -> Fault | None:
        """Return None."""
        return None


class CrashAt:
    """Crashes at the points with these numbers, counted from 1 over all appends and effects, before and after each.

    `passed` counts the points passed so far: run once without crashes to know how many there are.
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
    """The probability of each fault at one point, in [0, 1], and how many faults there are at most in a run."""

    crash: float = 0.03
    pause: float = 0.01
    unavailable: float = 0.04
    read_only: float = 0.0
    refused: float = 0.0
    locked: float = 0.0
    too_large: float = 0.0
    jump: float = 0.0
    cut: float = 0.0
    most: int = 8


class RandomFaults:
    """Random faults from a seed, `odds.most` at most: in a run whose faults never end nothing could come to rest."""

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
            ("cut", odds.cut),
        )
        self.made = 0

    def at(self, where: Where, when: When) -> Fault | None:
        """Return the fault at this point, or None."""
        if self.made >= self._odds.most:
            return None
        drawn = self._seeded.random()
        fault: Fault | None = None
        for kind, share in self._shares:
            if drawn < share:
                # Only writes can be refused.
                fault = kind if where == "append" or kind in OF_A_PROCESS else None
                break
            drawn -= share
        self.made += fault is not None
        return fault
