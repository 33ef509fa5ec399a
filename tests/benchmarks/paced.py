"""How long one saga takes while a thousand others run at once: one starts every few ms, beside waves and alone."""

import asyncio
import time
from collections.abc import Sequence
from itertools import count

from msgspec import Struct

from sagalog.process_manager import ProcessManager
from tests.benchmarks import work
from tests.benchmarks.databases import Database, make_schema
from tests.benchmarks.measure import Series, Sizes
from tests.benchmarks.work import Order, orders

ROUNDS = 3
EVERY_SECONDS = 0.005
# So many times the number that is enough elsewhere: what is rare is looked for.
SAMPLES = 2


class Paced(Struct):
    """How long one saga took, from when it was due to start until its result, beside none and beside so many."""

    number: int
    alone: Series
    beside: Series


async def paced(calm: Database, full: Database, sizes: Sizes) -> Paced:
    """Measure in turns on a database where nothing else happens, and on one where waves of sagas run meanwhile."""
    make_schema(calm)
    make_schema(full)
    found = Paced(sizes.sagas, Series("alone", []), Series("beside the others", []))
    for number in range(ROUNDS):
        inputs = orders(f"paced-{number}", SAMPLES * sizes.idle)
        async with ProcessManager(calm.address, sagas=[work.three_steps]) as manager:
            found.alone.seconds += await _at_a_pace(manager, inputs)
        async with ProcessManager(full.address, sagas=[work.three_steps]) as manager:
            waves = asyncio.create_task(_waves(manager, f"wave-{number}", sizes.sagas))
            found.beside.seconds += await _at_a_pace(manager, inputs)
            waves.cancel()
            await asyncio.gather(waves, return_exceptions=True)
    return found


async def _waves(manager: ProcessManager, series: str, number: int) -> None:
    """Start so many sagas at once, and as many again when all have ended, until it is cancelled."""
    for wave in count():
        runs = await asyncio.gather(
            *(manager.start(work.three_steps, order) for order in orders(f"{series}-{wave}", number))
        )
        for run in runs:
            await run.result()


async def _at_a_pace(manager: ProcessManager, inputs: Sequence[Order]) -> list[float]:
    """Start a saga every few ms, whether or not the last one has ended; return the seconds that each took.

    They are counted from when it was due: a loop that was held up then has let it wait, too.
    """
    began = time.perf_counter()

    async def one(order: Order, due: float) -> float:
        result = await (await manager.start(work.three_steps, order)).result()
        assert result.status == "completed", result
        return time.perf_counter() - due

    tasks: list[asyncio.Task[float]] = []
    for number, order in enumerate(inputs):
        due = began + number * EVERY_SECONDS
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(order, due)))
    return list(await asyncio.gather(*tasks))
