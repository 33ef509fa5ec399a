"""Several worker processes on one database: sagas that are started in all of them, and in one that does not work."""

import asyncio
import logging
import multiprocessing
import time
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Any, Self

from msgspec import Struct

from sagalog.process_manager import ProcessManager
from tests.benchmarks import work
from tests.benchmarks.databases import Database, Left, make_schema
from tests.benchmarks.measure import Series, Sizes
from tests.benchmarks.work import orders

WORKERS = (1, 2, 4, 8)
ROUNDS = 3
LOOK_AGAIN_SECONDS = 0.005
PATIENCE_SECONDS = 60.0


class Scaled(Struct):
    """So many workers: the seconds of all sagas, by where they were started."""

    workers: int
    in_all: Series
    in_one: Series


class Scale(Struct):
    """So many sagas at once, by the number of workers."""

    number: int
    by_workers: list[Scaled]


async def scale(database: Database, sizes: Sizes) -> Scale:
    """Measure each number of workers in processes of their own."""
    make_schema(database)
    with database.looking() as look:
        found = [await asyncio.to_thread(of_workers, database, workers, sizes.scaled, look) for workers in WORKERS]
    return Scale(sizes.scaled, found)


def of_workers(database: Database, workers: int, number: int, look: Callable[[], Left]) -> Scaled:
    """Measure so many workers, both ways in turns; one round more than are kept, to warm up."""
    found = Scaled(workers, Series("started in all", []), Series("started in one", []))
    with ExitStack() as stack:
        working = [stack.enter_context(_Process(database.address, worker=True)) for _ in range(workers)]
        (starting,) = [stack.enter_context(_Process(database.address, worker=False))]
        for process in (*working, starting):
            process.is_ready()
        for turn in range(ROUNDS + 1):
            for times, processes in ((found.in_all, working), (found.in_one, [starting])):
                times.seconds.append(_round(f"{times.name}-{workers}-{turn}", processes, number, look))
    for times in (found.in_all, found.in_one):
        del times.seconds[0]
    return found


def _round(series: str, processes: "list[_Process]", number: int, look: Callable[[], Left]) -> float:
    """Return the seconds from when the processes are told to start their shares until every saga has ended."""
    wanted = look().ended + number
    shares = [number // len(processes) + (place < number % len(processes)) for place in range(len(processes))]
    began = time.perf_counter()
    for place, (process, share) in enumerate(zip(processes, shares, strict=True)):
        process.start(f"{series}-{place}", share)
    while look().ended < wanted:
        if time.perf_counter() - began > PATIENCE_SECONDS:
            raise RuntimeError(f"expected {wanted} sagas to have ended after {PATIENCE_SECONDS:g} s, found {look()}")
        time.sleep(LOOK_AGAIN_SECONDS)
    seconds = time.perf_counter() - began
    for process in processes:
        process.is_ready()
    return seconds


class _Process:
    """A process manager in a process of its own, which starts what it is told to and works if it is a worker."""

    def __init__(self, address: str, *, worker: bool) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._told, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_process, args=(theirs, address, worker))

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._told.send(None)
        self._process.join()

    def start(self, series: str, number: int) -> None:
        """Tell it to start so many sagas."""
        self._told.send((series, number))

    def is_ready(self) -> None:
        """Wait until it has opened, or has started all that it was told to."""
        if not self._told.poll(PATIENCE_SECONDS):
            raise RuntimeError(f"expected a process to answer within {PATIENCE_SECONDS:g} s, found none")
        self._told.recv()


def _process(told: "Connection[Any, Any]", address: str, worker: bool) -> None:
    logging.disable(logging.ERROR)
    asyncio.run(_obey(told, address, worker))


async def _obey(told: "Connection[Any, Any]", address: str, worker: bool) -> None:
    async with ProcessManager(address, sagas=[work.three_steps], worker=worker) as manager:
        told.send("ready")
        while (order := await asyncio.to_thread(told.recv)) is not None:
            series, number = order
            await asyncio.gather(*(manager.start(work.three_steps, one) for one in orders(series, number)))
            told.send("started")
