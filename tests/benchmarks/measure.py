"""The measuring: engine and floor in turns, so that what disturbs the machine disturbs both. It prints nothing."""

import asyncio
import gc
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import psutil
from msgspec import Struct

from sagalog import Saga
from sagalog.process_manager import ProcessManager
from sagalog.store import Query
from tests.benchmarks import work
from tests.benchmarks.databases import Database, make_schema
from tests.benchmarks.floor import Floor, commits, transactions
from tests.benchmarks.work import Order, orders

FLOOR_BATCH = 100
SAMPLES_OF_A_CALL = 50


class Sizes(Struct, frozen=True):
    """How much is measured."""

    sagas: int = 1000
    rounds: int = 9
    idle: int = 300
    finished: int = 100_000
    long: int = 100
    troubled: int = 1000
    followed: int = 10_000
    search: int = 100_000
    crowd: int = 110_000
    replayed: int = 20_000
    projected: int = 10_000
    reacted: int = 5_000
    waiting: int = 10_000
    scaled: int = 2_000
    polled: int = 10_000


class Series(Struct):
    """Seconds, or microseconds where it is said, of one thing that was done several times."""

    name: str
    seconds: list[float]

    @property
    def best(self) -> float:
        return min(self.seconds)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p99(self) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]


class Beside(Struct):
    """What the engine took, and each plain way of writing the same rows."""

    engine: Series
    floors: list[Series]

    @property
    def floor(self) -> Series:
        """Return the fastest of the plain ways: the floor to be measured against."""
        return min(self.floors, key=lambda series: series.median)

    @property
    def ratio(self) -> float:
        """Return how much longer the engine took than the floor, by medians."""
        return self.engine.median / self.floor.median


class Work(Struct):
    """The numbers of DESIGN 9 on one database."""

    throughput: Beside
    idle: Beside
    sagas: int
    commits_per_saga: float
    events_per_saga: float
    bytes_per_saga: float


class Memory(Struct):
    """What one process held: megabytes before the work, and the most during it."""

    before: float
    most: float


async def finish(manager: ProcessManager, saga: Saga[Order], inputs: Sequence[Order]) -> float:
    """Start sagas at once and wait until every one is done; return the seconds."""
    gc.collect()
    began = time.perf_counter()
    runs = await asyncio.gather(*(manager.start(saga, order) for order in inputs))
    results = [await run.result() for run in runs]
    seconds = time.perf_counter() - began
    wrong = [result for result in results if result.status != "completed"]
    if wrong:
        raise RuntimeError(f"expected every saga to complete, found {wrong[0]}")
    return seconds


async def write_the_same(floor: Floor, inputs: Sequence[Order]) -> float:
    """Write by a plain driver what the engine writes for these inputs; return the seconds of the writing alone."""
    batches = transactions(await work.what_the_engine_writes(inputs), FLOOR_BATCH, floor.last_position())
    gc.collect()
    began = time.perf_counter()
    for rows in batches:
        floor.write(rows)
    return time.perf_counter() - began


async def throughput(manager: ProcessManager, floors: Sequence[Floor], series: str, sizes: Sizes) -> Beside:
    """Measure sagas that are started at once, in turns with the floor; one round more than asked for, to warm up."""
    engine = Series("engine", [])
    plain = [Series(floor.name, []) for floor in floors]
    for number in range(sizes.rounds + 1):
        engine.seconds.append(await finish(manager, work.three_steps, orders(f"{series}-{number}", sizes.sagas)))
        for floor, times in zip(floors, plain, strict=True):
            times.seconds.append(await write_the_same(floor, orders(f"{series}-{number}-{floor.name}", sizes.sagas)))
    for times in (engine, *plain):
        del times.seconds[0]
    return Beside(engine, plain)


async def idle_latency(manager: ProcessManager, floors: Sequence[Floor], series: str, sizes: Sizes) -> Beside:
    """Measure one saga at a time, each followed by four plain commits of the same rows."""
    engine = Series("engine", [])
    plain = [Series(floor.name, []) for floor in floors]
    rows: list[list[Any]] = []
    for floor in floors:
        position = floor.last_position()
        written = await work.what_the_engine_writes(orders(f"{series}-{floor.name}", sizes.idle))
        rows.append([commits(appends, position) for appends in written])
    gc.collect()
    for number, order in enumerate(orders(f"{series}-one", sizes.idle)):
        began = time.perf_counter()
        run = await manager.start(work.three_steps, order)
        await run.result()
        engine.seconds.append(time.perf_counter() - began)
        for floor, prepared, times in zip(floors, rows, plain, strict=True):
            began = time.perf_counter()
            for one in prepared[number]:
                floor.write(one)
            times.seconds.append(time.perf_counter() - began)
    return Beside(engine, plain)


async def design_work(engine_side: Database, floor_side: Database, sizes: Sizes) -> Work:
    """Measure throughput and latency on two fresh databases, one for the engine and one for the floor."""
    make_schema(engine_side)
    make_schema(floor_side)
    floors = floor_side.floors()
    before = engine_side.size()
    store_commits = 0
    async with ProcessManager(engine_side.address, sagas=[work.three_steps]) as manager:
        await finish(manager, work.three_steps, orders("counted", sizes.sagas))
        store_commits = manager._lifecycle.engine().committer.commits
        beside = await throughput(manager, floors, "work", sizes)
        # The size after all rounds: the first pages of a table would count too much in one.
        events = await manager.history((await manager.find(limit=1))[0].saga_id)
        grown = engine_side.size() - before
        sagas = sizes.sagas * (sizes.rounds + 2)
        idle = await idle_latency(manager, floors, "idle", sizes)
    for floor in floors:
        floor.close()
    return Work(beside, idle, sizes.sagas, store_commits / sizes.sagas, len(events), grown / sagas)


async def memory(database: Database, sizes: Sizes) -> Memory:
    """Run the sagas once and nothing else, in a process that did nothing before."""
    make_schema(database)
    before = psutil.Process().memory_info().rss / 2**20
    async with ProcessManager(database.address, sagas=[work.three_steps]) as manager:
        await finish(manager, work.three_steps, orders("memory", sizes.sagas))
    unit = 1024 if sys.platform == "linux" else 1024**2
    return Memory(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)


class Shape(Struct):
    """Sagas of one shape, all at once."""

    name: str
    sagas: int
    steps: int
    times: Series


async def shapes(database: Database, sizes: Sizes) -> list[Shape]:
    """Measure sagas of other lengths and kinds, each as many as a long one has time for."""
    make_schema(database)
    declared = [
        ("3 steps", 3, work.steps_in_a_row(3)),
        ("30 steps", 30, work.steps_in_a_row(30)),
        ("300 steps", 300, work.steps_in_a_row(300)),
        ("3 steps in threads", 3, work.steps_in_threads(3)),
        ("3 steps side by side", 3, work.steps_side_by_side(3)),
    ]
    found = [Shape(name, sizes.long, steps, Series(name, [])) for name, steps, _ in declared]
    async with ProcessManager(database.address, sagas=[saga for _, _, saga in declared]) as manager:
        for number in range(3):
            for shape, (_, _, saga) in zip(found, declared, strict=True):
                inputs = orders(f"{shape.name}-{number}", sizes.long)
                shape.times.seconds.append(await finish(manager, saga, inputs))
    return found


class Filled(Struct):
    """The same work on an empty database and on one with many finished sagas."""

    finished: int
    loading: float
    pairs: list[tuple[str, Series, Series]]
    floor: Series


async def filled(empty: Database, full: Database, sizes: Sizes) -> Filled:
    """Measure whether what has ended slows down what begins."""
    make_schema(empty)
    make_schema(full)
    began = time.perf_counter()
    full.load(await work.finished_samples(), sizes.finished)
    loading = time.perf_counter() - began
    both = [empty, full]
    floors = full.floors()
    batches = [Series("sagas at once", []) for _ in both]
    alone = [Series("an idle saga", []) for _ in both]
    floor = Series(floors[0].name, [])
    async with AsyncExitStack() as stack:
        managers = [
            await stack.enter_async_context(ProcessManager(database.address, sagas=[work.three_steps]))
            for database in both
        ]
        for number in range(sizes.rounds + 1):
            inputs = orders(f"filled-{number}", sizes.sagas)
            for manager, times in zip(managers, batches, strict=True):
                times.seconds.append(await finish(manager, work.three_steps, inputs))
            floor.seconds.append(await write_the_same(floors[0], orders(f"filled-floor-{number}", sizes.sagas)))
        for times in (*batches, floor):
            del times.seconds[0]
        for order in orders("filled-one", sizes.idle):
            for manager, times in zip(managers, alone, strict=True):
                began = time.perf_counter()
                await (await manager.start(work.three_steps, order)).result()
                times.seconds.append(time.perf_counter() - began)
        calls = [_calls(manager) for manager in managers]
    for one in floors:
        one.close()
    series = [batches, alone, *zip(*calls, strict=True)]
    pairs = [(one.name, one, other) for one, other in series]
    return Filled(sizes.finished, loading, pairs, floor)


def _calls(manager: ProcessManager) -> list[Series]:
    """Time what is asked of a store again and again, in the calling thread."""
    store, known = manager.store, list(manager.definitions)
    newest = store.find(Query(limit=1))[0]
    now = time.time_ns() // 1000
    asked: list[tuple[str, Callable[[], object]]] = [
        ("a poll that finds nothing due", lambda: store.claim("nobody", known, now, 200)),
        ("the newest 50", lambda: store.find(Query(limit=50))),
        ("the newest 50 completed", lambda: store.find(Query(limit=50, statuses=["completed"]))),
        ("those with a key", lambda: store.find(Query(key=newest.saga_key))),
        ("the next 50", lambda: store.find(Query(limit=50, before=newest.saga_id))),
        ("the stuck ones, of which there are none", lambda: store.find(Query(limit=50, statuses=["stuck"]))),
    ]
    return [Series(name, [_timed(call) for _ in range(SAMPLES_OF_A_CALL)]) for name, call in asked]


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
