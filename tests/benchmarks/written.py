"""What one saga makes a database write, in bytes and commits: alone, among a thousand at once, and as the floor."""

from collections.abc import Sequence

from msgspec import Struct

from tests.benchmarks.databases import Database, make_schema
from tests.benchmarks.each_kind import floor_of
from tests.benchmarks.kinds import KINDS, Kind
from tests.benchmarks.measure import Sizes
from tests.benchmarks.meters import Spent
from tests.benchmarks.work import Order, orders

WAVES = 3


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
    floor = await floor_of(kind, sizes, captured, plain)
    floor.write(floor.ways[0])
    floor.close()
    make_schema(engine)
    # What comes first fills the first pages of each table, which is no saga's.
    await _spent(kind, engine, [orders("first", sizes.sagas)])
    alone = await _spent(kind, engine, [[order] for order in orders("alone", sizes.idle)])
    at_once = await _spent(kind, engine, [orders(f"wave-{number}", sizes.sagas) for number in range(WAVES)])
    meter = plain.meter()
    meter.begin()
    floor.ways = plain.plain()
    for _ in range(WAVES):
        floor.write(floor.ways[0])
    floor.close()
    return Written(kind.part, sizes.sagas, alone, at_once, meter.end().for_each(WAVES * sizes.sagas))


async def _spent(kind: Kind, database: Database, waves: Sequence[Sequence[Order]]) -> Spent:
    """Do one wave after the other, and return what was written for each of all."""
    declared, meter = kind.declare(), database.meter()
    meter.begin()
    with database.looking() as look:
        async with declared.manager(database.address) as manager:
            for wave in waves:
                await declared.do(manager, wave, look)
    return meter.end().for_each(sum(map(len, waves)))
