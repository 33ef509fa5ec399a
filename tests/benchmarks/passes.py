"""How long the event loop is held up: the longest of its passes while a thousand pieces of work are done at once.

A pass is all that the loop runs between two waits: from the moment at which its selector has returned until it is asked
again. For so long no other task of the process gets a turn. Its seconds hold whatever else the machine did meanwhile;
the seconds of processor time are those that the loop's thread had.
"""

import asyncio
import gc
import selectors
import time
from typing import Any

from msgspec import Struct

from tests.benchmarks.databases import Database, make_schema
from tests.benchmarks.kinds import KINDS
from tests.benchmarks.measure import Series, Sizes
from tests.benchmarks.work import orders

MOST_ROUNDS = 5
WATCHED = ("three-steps", "compensating", "requests", "participants")
LONG_SECONDS = 0.01


class _WatchedSelector(selectors.DefaultSelector):  # type: ignore[misc,valid-type,unused-ignore]
    """A selector that takes the time between its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.passes: list[tuple[float, float]] = []
        self._began: tuple[float, float] | None = None

    def select(self, timeout: float | None = None) -> Any:
        if self._began is not None:
            seconds, processor = self._began
            self.passes.append((time.perf_counter() - seconds, time.thread_time() - processor))
        found = super().select(timeout)
        self._began = time.perf_counter(), time.thread_time()
        return found


class WatchedLoop(asyncio.SelectorEventLoop):
    """An event loop that keeps how long each of its passes took."""

    def __init__(self) -> None:
        self._watched = _WatchedSelector()
        super().__init__(self._watched)

    def take(self) -> list[tuple[float, float]]:
        """Return the passes since it was last asked: seconds, and seconds of processor time."""
        taken, self._watched.passes = self._watched.passes, []
        return taken


class Passes(Struct):
    """Of each round: the longest pass, the most processor time of one, and how much of the time was in long passes."""

    part: str
    number: int
    longest: Series
    processor: Series
    in_long_ones: list[float]


async def passes(database: Database, sizes: Sizes) -> list[Passes]:
    """Watch kinds of work, each at once, a few times; one round more than asked for, to warm up."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, WatchedLoop), "expected to run on a loop that keeps its passes"
    make_schema(database)
    found: list[Passes] = []
    for kind in (kind for kind in KINDS if kind.part in WATCHED):
        one = Passes(kind.part, sizes.sagas, Series("longest pass", []), Series("processor time", []), [])
        declared = kind.declare()
        with database.looking() as look:
            async with declared.manager(database.address) as manager:
                for number in range(min(sizes.rounds, MOST_ROUNDS) + 1):
                    inputs = orders(f"{kind.part}-{number}", sizes.sagas)
                    gc.collect()
                    # The pass that collects is not one of the engine's.
                    await asyncio.sleep(0)
                    loop.take()
                    await declared.do(manager, inputs, look)
                    if number:
                        _add(one, loop.take())
        found.append(one)
    return found


def _add(one: Passes, taken: list[tuple[float, float]]) -> None:
    one.longest.seconds.append(max(seconds for seconds, _ in taken))
    one.processor.seconds.append(max(processor for _, processor in taken))
    whole = sum(seconds for seconds, _ in taken)
    one.in_long_ones.append(sum(seconds for seconds, _ in taken if seconds > LONG_SECONDS) / whole)
