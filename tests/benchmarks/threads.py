"""Plain functions, which run in threads: three-step sagas of them at once, in turns with async functions."""

from msgspec import Struct

from sagalog.process_manager import ProcessManager
from tests.benchmarks import work
from tests.benchmarks.databases import Database, make_schema
from tests.benchmarks.measure import Beside, Series, Sizes, finish
from tests.benchmarks.work import orders

MOST_ROUNDS = 5
STEPS = 3


class Threads(Struct):
    """So many sagas at once: the seconds with plain functions, beside those with async ones."""

    number: int
    beside: Beside


async def threads(database: Database, sizes: Sizes) -> Threads:
    """Measure both on one database; one round more than asked for, to warm up."""
    make_schema(database)
    plain, native = work.steps_in_threads(STEPS), work.steps_in_a_row(STEPS)
    beside = Beside(Series("plain functions", []), [Series("async functions", [])])
    async with ProcessManager(database.address, sagas=[plain, native]) as manager:
        for number in range(min(sizes.rounds, MOST_ROUNDS) + 1):
            for saga, times in ((plain, beside.engine), (native, beside.floors[0])):
                times.seconds.append(await finish(manager, saga, orders(f"{saga.name}-{number}", sizes.sagas)))
    for times in (beside.engine, *beside.floors):
        del times.seconds[0]
    return Threads(sizes.sagas, beside)
