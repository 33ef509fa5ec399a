"""Whether sagas in trouble delay the others (invariant 36): the same work beside none and beside a thousand."""

import asyncio
import time
from collections.abc import Sequence

from msgspec import Struct

from sagalog import Retry, Saga
from sagalog.process_manager import ProcessManager
from tests.benchmarks import work
from tests.benchmarks.databases import Database, make_schema
from tests.benchmarks.measure import Series, Sizes
from tests.benchmarks.work import Order, order_key, orders

ROUNDS = 5
# A saga every so often, as customers come: started at once they would only wait for each other.
EVERY_SECONDS = 0.004
# By then each that fails has been claimed and tried since the start, and waits again: so it is for as long as a service
# is down. It is the longest pause between two attempts, with its jitter.
SETTLING_SECONDS = 16.0
# With fewer in trouble nothing is measured, only tried out: it need not settle.
FEWEST_TO_MEASURE = 1000
# So many times the number that is enough elsewhere: what is rare is looked for.
SAMPLES = 2

stuck = Saga("bench-stuck", input=Order, key=order_key)
failing = Saga("bench-failing", input=Order, key=order_key)


@stuck.step(compensation=None)
async def stumble(order: Order) -> None:
    raise TypeError("a mistake in the program")


# It is tried for as long as anything here runs, as often as the defaults of a service that is down would have it.
@failing.step(compensation=None, retry=Retry(attempts=1_000_000, delay=2.0, max_delay=10.0, jitter=0.5))
async def ask_in_vain(order: Order) -> None:
    raise ConnectionError("down")


class Troubled(Struct):
    """How long one saga took, from its start to its result, beside none and beside so many in trouble."""

    number: int
    calm: Series
    troubled: Series


async def troubled(calm: Database, full: Database, sizes: Sizes) -> Troubled:
    """Measure single sagas in turns on a database without trouble and on one where half are stuck, half failing."""
    make_schema(calm)
    make_schema(full)
    await _make_trouble(full, sizes.troubled)
    found = Troubled(sizes.troubled, Series("beside none", []), Series("beside those in trouble", []))
    for number in range(ROUNDS):
        for database, series in ((calm, found.calm), (full, found.troubled)):
            async with ProcessManager(database.address, sagas=[work.three_steps, stuck, failing]) as manager:
                if database is full and sizes.troubled >= FEWEST_TO_MEASURE:
                    await asyncio.sleep(SETTLING_SECONDS)
                await _one_by_one(manager, orders(f"warm-{number}", sizes.idle // 5))
                series.seconds += await _one_by_one(manager, orders(f"timed-{number}", SAMPLES * sizes.idle))
    return found


async def _make_trouble(database: Database, number: int) -> None:
    async with ProcessManager(database.address, sagas=[stuck, failing]) as manager:
        half = number // 2
        runs = await asyncio.gather(*(manager.start(stuck, order) for order in orders("stuck", half)))
        await asyncio.gather(*(run.result() for run in runs))
        await asyncio.gather(*(manager.start(failing, order) for order in orders("failing", number - half)))


async def _one_by_one(manager: ProcessManager, inputs: Sequence[Order]) -> list[float]:
    """Start sagas at a steady pace, whether or not the last one has ended; return the seconds that each took."""

    async def one(order: Order) -> float:
        began = time.perf_counter()
        result = await (await manager.start(work.three_steps, order)).result()
        assert result.status == "completed", result
        return time.perf_counter() - began

    tasks: list[asyncio.Task[float]] = []
    for order in inputs:
        tasks.append(asyncio.create_task(one(order)))
        await asyncio.sleep(EVERY_SECONDS)
    return list(await asyncio.gather(*tasks))
