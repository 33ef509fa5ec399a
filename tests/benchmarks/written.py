"""What one saga makes a database write, in bytes and commits: alone, among a thousand at once, and as the floor."""

from collections.abc import Sequence

from msgspec import Struct

from tests.benchmarks.databases import Database, make_schema
from tests.benchmarks.each_kind import WrittenAgain, floor_of
from tests.benchmarks.kinds import KINDS, Kind
from tests.benchmarks.measure import Sizes
from tests.benchmarks.meters import Spent, median
from tests.benchmarks.work import Order, orders

# The median of so many: after a checkpoint, which nobody asks for, PostgreSQL writes each page as a whole once.
TIMES = 3


class Written(Struct):
    """What is written for one saga of a kind."""

    part: str
    number: int
    alone: Spent
    at_once: Spent
    floor: Spent


async def written(part: str, engine: Database, captured: Database, plain: Database, sizes: Sizes) -> Written:
    """Measure one kind of work; what opening and closing a process manager writes is shared by all sagas."""
    (kind,) = [kind for kind in KINDS if kind.part == part]
    again = await floor_of(kind, sizes, captured, plain)
    again.write(again.ways[0])
    again.close()
    make_schema(engine)
    # What comes first fills the first pages of each table, which is no saga's.
    await _spent(kind, engine, [orders("first", sizes.sagas)])
    alone: list[Spent] = []
    at_once: list[Spent] = []
    floor: list[Spent] = []
    for number in range(TIMES):
        alone.append(await _spent(kind, engine, [[order] for order in orders(f"alone-{number}", sizes.idle)]))
        at_once.append(await _spent(kind, engine, [orders(f"at-once-{number}", sizes.sagas)]))
        floor.append(_spent_again(again, plain, sizes.sagas))
    return Written(kind.part, sizes.sagas, median(alone), median(at_once), median(floor))


async def _spent(kind: Kind, database: Database, waves: Sequence[Sequence[Order]]) -> Spent:
    """Do one wave after the other, and return what was written for each of all."""
    declared, meter = kind.declare(), database.meter()
    meter.begin()
    with database.looking() as look:
        async with declared.manager(database.address) as manager:
            for wave in waves:
                await declared.do(manager, wave, look)
    return meter.end().for_each(sum(map(len, waves)))


def _spent_again(again: WrittenAgain, plain: Database, number: int) -> Spent:
    meter = plain.meter()
    meter.begin()
    again.ways = plain.plain()
    again.write(again.ways[0])
    again.close()
    return meter.end().for_each(number)
