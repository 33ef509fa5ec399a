"""The price of an inline projection: sagas with one, in turns with the same sagas without, on two databases."""

import gc
import time

from msgspec import Struct

from sagalog.process_manager import ProcessManager
from tests.benchmarks import work
from tests.benchmarks.databases import Database, make_schema
from tests.benchmarks.measure import Beside, Series, Sizes, finish
from tests.benchmarks.projected import orders

MOST_ROUNDS = 5


class Inline(Struct):
    """Sagas started at once, and one after the other: the seconds with an inline projection, beside those without."""

    sagas: int
    idle_sagas: int
    at_once: Beside
    idle: Beside


async def inline(kept: Database, plain: Database, sizes: Sizes) -> Inline:
    """Measure three-step sagas whose projection writes a row for nearly every event."""
    make_schema(kept)
    make_schema(plain)
    at_once = Beside(Series("inline", []), [Series("without", [])])
    idle = Beside(Series("inline", []), [Series("without", [])])
    rounds = min(sizes.rounds, MOST_ROUNDS)
    few = max(1, sizes.idle // rounds)
    async with (
        ProcessManager(kept.address, sagas=[work.three_steps], projections=[orders("kept", inline=True)]) as within,
        ProcessManager(plain.address, sagas=[work.three_steps]) as without,
    ):
        await within.caught_up("kept")
        for number in range(rounds + 1):
            for manager, many, one_by_one in (
                (within, at_once.engine, idle.engine),
                (without, at_once.floors[0], idle.floors[0]),
            ):
                many.seconds.append(await finish(manager, work.three_steps, work.orders(f"n{number}", sizes.sagas)))
                one_by_one.seconds.append(await _one_by_one(manager, work.orders(f"i{number}", few)))
    for beside in (at_once, idle):
        for times in (beside.engine, *beside.floors):
            del times.seconds[0]
    return Inline(sizes.sagas, few, at_once, idle)


async def _one_by_one(manager: ProcessManager, inputs: list[work.Order]) -> float:
    gc.collect()
    began = time.perf_counter()
    for order in inputs:
        await (await manager.start(work.three_steps, order)).result()
    return time.perf_counter() - began
