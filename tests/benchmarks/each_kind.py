"""The measuring of each kind of work: all of it at once, in turns with the floor of that kind. It prints nothing."""

import gc
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

from msgspec import Struct

from tests.benchmarks.databases import Database, make_schema
from tests.benchmarks.kinds import KINDS, Kind
from tests.benchmarks.measure import FLOOR_BATCH, Beside, Series, Sizes
from tests.benchmarks.plain import Plain, Statement, Transaction, renamed, transactions
from tests.benchmarks.work import orders

MOST_ROUNDS = 5
CAPTURED = "captured-0000"


class OfAKind(Struct):
    """So many pieces of one kind of work at once: the seconds of engine and floor, and what is written for one piece.

    `processor` holds the processor time that this process had, which others on the machine change less; a server's is
    not among it. `writes` counts the rows that are inserted, updated and deleted, by table.
    """

    part: str
    says: str
    one: str
    number: int
    beside: Beside
    processor: Beside
    writes: dict[str, float]


class Taken(Struct):
    """The seconds that something took, and the processor time that this process had meanwhile."""

    seconds: float = 0.0
    processor: float = 0.0


@contextmanager
def _timed() -> Generator[Taken]:
    taken = Taken()
    gc.collect()
    began, processor = time.perf_counter(), time.process_time()
    yield taken
    taken.seconds, taken.processor = time.perf_counter() - began, time.process_time() - processor


class WrittenAgain:
    """The plain ways to write what the engine has written once; each time for other sagas."""

    def __init__(self, made: list[Transaction], ways: Sequence[Plain], began: float, ended: float) -> None:
        self.ways = ways
        self._made = made
        # An id begins with the upper half of its milliseconds.
        self._earliest, self._latest = (f"{int(at * 1000) >> 16:08x}" for at in (began, ended))
        self._turns = 0

    def writes(self) -> Counter[str]:
        """Return how many rows are written, by table."""
        found: Counter[str] = Counter()
        for one in self.statements():
            found[one.table.name] += len(one.rows)
        return found

    def statements(self) -> Iterator[Statement]:
        """Give what is written, in order."""
        return chain.from_iterable(self._made)

    def write(self, way: Plain) -> Taken:
        """Write it all in one of the ways and return what the writing alone took."""
        other = renamed(self._made, CAPTURED, self._turns, self._earliest, self._latest)
        self._turns += 1
        parts = [way.prepare(one) for one in other]
        with _timed() as taken:
            for part in parts:
                way.write(part)
        return taken

    def close(self) -> None:
        """Close the connections."""
        for way in self.ways:
            way.close()


async def floor_of(
    kind: Kind, sizes: Sizes, captured: Database, plain: Database, *, batch: int = FLOOR_BATCH
) -> WrittenAgain:
    """Let the engine do a kind of work in one database, so much at once; return the floor of it, for the other one.

    What was done at once is a transaction of the floor. The engine writes the same rows, as often, whatever the batch.
    """
    make_schema(captured)
    make_schema(plain)
    capture = captured.capture()
    capture.begin()
    declared, inputs = kind.declare(), orders(CAPTURED, sizes.sagas)
    began = time.time()
    with captured.looking() as look:
        async with declared.manager(captured.address) as manager:
            for first in range(0, len(inputs), batch):
                await declared.do(manager, inputs[first : first + batch], look)
                capture.mark()
    parts = capture.take()
    capture.close()
    return WrittenAgain(transactions(parts), plain.plain(), began, time.time())


async def each_kind(part: str, engine: Database, captured: Database, plain: Database, sizes: Sizes) -> OfAKind:
    """Measure one kind of work on three databases: the engine's, one where its writes are kept, and the floor's."""
    (kind,) = [kind for kind in KINDS if kind.part == part]
    floor = await floor_of(kind, sizes, captured, plain)
    make_schema(engine)
    declared = kind.declare()
    rounds: list[list[Taken]] = []
    with engine.looking() as look:
        async with declared.manager(engine.address) as manager:
            for number in range(min(sizes.rounds, MOST_ROUNDS) + 1):
                inputs = orders(f"{part}-{number}", sizes.sagas)
                with _timed() as taken:
                    await declared.do(manager, inputs, look)
                rounds.append([taken, *(floor.write(way) for way in floor.ways)])
    floor.close()
    writes = {table: number / sizes.sagas for table, number in sorted(floor.writes().items())}
    names = ["engine", *(way.name for way in floor.ways)]
    # The first round warms up.
    columns = list(zip(names, zip(*rounds[1:], strict=True), strict=True))
    beside, processor = (
        Beside(engine, plain)
        for engine, *plain in (
            [Series(name, [one.seconds for one in column]) for name, column in columns],
            [Series(name, [one.processor for one in column]) for name, column in columns],
        )
    )
    return OfAKind(part, kind.says, kind.one, sizes.sagas, beside, processor, writes)
