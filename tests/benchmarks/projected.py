"""Projections: how long a backlog of events takes to become rows, beside the same statements by the plain driver."""

import gc
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg
from msgspec import Struct

from sagalog.engine.projections.handing import hand
from sagalog.engine.projections.reading import LogReader
from sagalog.process_manager import ProcessManager
from sagalog.projections import (
    Metadata,
    Projection,
    SagaCompleted,
    SagaFailed,
    SagaStarted,
    StepCompensated,
    StepSucceeded,
    Tables,
)
from sagalog.projections.schema import written
from sagalog.stores import store_for
from sagalog.stores.sqlite.connection import CACHE_KIB
from tests.benchmarks import work
from tests.benchmarks.databases import Database, make_schema
from tests.benchmarks.measure import Beside, Series, Sizes

SQL = Path(__file__).with_name("projected.sql").read_text("utf-8")
MOST_ROUNDS = 5
LONGEST = 3600.0
PLAIN = "plain"

# The name of a statement, and its values.
Call = tuple[str, Mapping[str, Any]]


class Batch(Struct):
    """What is run for a part of the log, and the last position of that."""

    calls: list[Call]
    position: int


class Projected(Struct):
    """A backlog of so many events, and the seconds that its rows took."""

    events: int
    asynchronous: Beside


def orders(name: str, inline: bool = False) -> Projection:
    """Return a projection with tables that are called by its name."""
    sql = SQL.replace("{orders}", f"{{{name}}}").replace("{reached}", f"{{{name}_reached}}")
    projection = Projection(name, sql=sql, inline=inline)

    @projection.on
    def started(event: SagaStarted, metadata: Metadata, tables: Tables) -> None:
        customer = event.input["customer"]
        tables.run("start", order_id=metadata.saga_id, customer=customer, position=metadata.position)

    @projection.on
    def moved(event: StepSucceeded | StepCompensated, metadata: Metadata, tables: Tables) -> None:
        more = -1 if isinstance(event, StepCompensated) else 1
        tables.run("step", order_id=metadata.saga_id, more=more, position=metadata.position)

    @projection.on
    def ended(event: SagaCompleted | SagaFailed, metadata: Metadata, tables: Tables) -> None:
        status, reason = ("failed", event.error.message) if isinstance(event, SagaFailed) else ("completed", None)
        tables.run("end", order_id=metadata.saga_id, status=status, reason=reason, position=metadata.position)

    return projection


async def projected(full: Database, plain: Database, sizes: Sizes) -> Projected:
    """Measure a new projection of finished three-step sagas, in turns with the plain driver on a database beside."""
    make_schema(full)
    make_schema(plain)
    full.load(await work.finished_samples(), sizes.projected)
    batches, events = _batches(full.address)
    write: Callable[[str, int, list[Batch]], float] = _by_sqlite3
    engine, floor = Series("engine", []), Series("sqlite3 execute", [])
    if not plain.address.startswith("sqlite"):
        write, floor = _by_psycopg, Series("psycopg pipeline", [])
    for number in range(min(sizes.rounds, MOST_ROUNDS) + 1):
        engine.seconds.append(await _projected(full.address, f"orders_{number}"))
        floor.seconds.append(write(plain.address, number, batches))
    for times in (engine, floor):
        del times.seconds[0]
    return Projected(events, Beside(engine, [floor]))


async def _projected(address: str, name: str) -> float:
    """Return the seconds from the opening of a process manager until its new projection has read the whole log."""
    manager = ProcessManager(address, projections=[orders(name)])
    gc.collect()
    began = time.perf_counter()
    async with manager:
        await manager.caught_up(name, timeout=LONGEST)
        return time.perf_counter() - began


class _Recorded(Tables):
    """Tables that keep which statements they are given, and run none."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def run(self, statement: str, /, **values: Any) -> None:
        self.calls.append((statement, values))


def _batches(address: str) -> tuple[list[Batch], int]:
    """Return what the projection runs for each batch of the log, and how many events there are."""
    projection = orders(PLAIN)
    store = store_for(address)
    store.open()
    try:
        reader, batches, after, events = LogReader(store, projection.handlers), list[Batch](), 0, 0
        while stored := store.read_log(after, projection.batch):
            tables = _Recorded()
            for entry in reader.page(after, projection.batch).entries:
                hand(entry, tables)
            after, events = stored[-1].position, events + len(stored)
            batches.append(Batch(tables.calls, after))
        return batches, events
    finally:
        store.close()


def _statements(number: int, with_percent: bool) -> tuple[list[str], dict[str, str]]:
    """Return what makes the tables of a round, and the statements by name, as a driver takes them."""
    sql = orders(PLAIN).sql
    made = [written(one, number, with_percent) for one in sql.create]
    return made, {name: written(block, number, with_percent) for name, block in sql.blocks.items()}


def _by_sqlite3(address: str, number: int, batches: list[Batch]) -> float:
    """Return the seconds that the standard library's driver takes, with the settings that the store has."""
    made, texts = _statements(number, False)
    connection = sqlite3.connect(address.removeprefix("sqlite:///"), isolation_level=None, cached_statements=256)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        for statement in made:
            connection.execute(statement)
        gc.collect()
        began = time.perf_counter()
        connection.execute(texts["begin"], {"position": 0})
        for batch in batches:
            connection.execute("BEGIN IMMEDIATE")
            for name, values in batch.calls:
                connection.execute(texts[name], values)
            connection.execute(texts["reach"], {"position": batch.position})
            connection.execute("COMMIT")
        return time.perf_counter() - began
    finally:
        connection.close()


def _by_psycopg(address: str, number: int, batches: list[Batch]) -> float:
    """Return the seconds that psycopg takes, which sends a whole transaction before it waits for an answer."""
    made, given = _statements(number, True)
    texts = {name: text.encode() for name, text in given.items()}
    with psycopg.connect(address, autocommit=True, prepare_threshold=0) as connection:
        for statement in made:
            connection.execute(statement.encode())
        gc.collect()
        began = time.perf_counter()
        connection.execute(texts["begin"], {"position": 0})
        for batch in batches:
            with connection.pipeline(), connection.transaction(), connection.cursor() as cursor:
                for name, values in batch.calls:
                    cursor.execute(texts[name], values)
                cursor.execute(texts["reach"], {"position": batch.position})
        return time.perf_counter() - began
