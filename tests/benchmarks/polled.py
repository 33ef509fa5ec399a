"""How long each statement of a worker takes in an empty database and in a full one. It prints nothing."""

import re
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from backlog.backlog import fill, settle
from backlog.statements import POSTGRES, SQLITE
from backlog.walked import Walked, walked
from databases.catalogs import plain
from databases.stores import opened
from msgspec import Struct

from sagalog.stores.postgres.exchange import exchange
from sagalog.stores.sqlite.writing import SQL as OF_SQLITE
from tests.benchmarks.databases import Database, make_schema
from tests.benchmarks.measure import Sizes

CALLS = 41
# So many sagas have ended for each one that is open.
FINISHED_FOR_EACH = 10

_INDEX = re.compile(
    r"USING (?:COVERING )?INDEX (\w+)|(PRIMARY KEY)|Scan saga_\w+ (saga_\w+)|Seq Scan (saga_\w+)|SCAN (saga_\w+)"
)


class Asked(Struct):
    """The quickest of many times, in seconds; the effort is counted: instructions of SQLite, pages of PostgreSQL."""

    name: str
    empty: float
    full: float
    empty_effort: int
    full_effort: int
    plan: str


class Polled(Struct):
    """What was asked of a database with so many sagas; `filling` is how long it took to fill it."""

    finished: int
    unfinished: int
    filling: float
    asked: list[Asked]


async def polled(empty: Database, full: Database, sizes: Sizes) -> Polled:
    """Fill one of two databases, and ask both of them what a worker asks."""
    unfinished = sizes.polled
    finished = FINISHED_FOR_EACH * unfinished
    began = time.perf_counter()
    for database, ended, open_ones in ((empty, 0, 0), (full, finished, unfinished)):
        make_schema(database)
        fill(database.address, ended, open_ones)
        if database.address.startswith("postgres"):
            # As it does by itself; a file has no statistics unless somebody asks for them.
            settle(database.address)
    filling = time.perf_counter() - began
    efforts = [walked(database.address) for database in (empty, full)]
    with _asking(empty.address) as ask_empty, _asking(full.address) as ask_full:
        asked = [_asked(name, [one[name] for one in efforts], ask_empty, ask_full) for name in efforts[0]]
    return Polled(finished, unfinished, filling, asked)


def _asked(name: str, efforts: Sequence[Walked], *asks: Callable[[str], float]) -> Asked:
    # In turns, and of each the quickest, so that what else the machine does is left out.
    rounds = [[ask(name) for ask in asks] for _ in range(CALLS)]
    times = [min(column) for column in zip(*rounds, strict=True)]
    found = (next(filter(None, match.groups())) for step in efforts[1].plan for match in _INDEX.finditer(step))
    plan = ", ".join(dict.fromkeys(one.removeprefix("saga_") for one in found))
    return Asked(name, times[0], times[1], efforts[0].effort, efforts[1].effort, plan)


@contextmanager
def _asking(address: str) -> Generator[Callable[[str], float]]:
    """Give a function that runs a statement, takes back what it has changed, and returns how long it took."""
    if address.startswith("sqlite"):
        with plain(address) as file:

            def of_sqlite(name: str) -> float:
                file.execute("BEGIN IMMEDIATE")
                began = time.perf_counter()
                file.execute(OF_SQLITE[name], SQLITE[name]).fetchall()
                took = time.perf_counter() - began
                file.execute("ROLLBACK")
                return took

            yield of_sqlite
        return
    with opened(address) as store:
        connections = cast(Any, store)._connections

        def of_postgres(name: str) -> float:
            writes, values = POSTGRES[name]
            with connections.writer() if writes else connections.reader() as connection:
                exchange(connection, [("begin", ())])
                began = time.perf_counter()
                found = connection.run(name, values)
                if found.description is not None:
                    found.fetchall()
                took = time.perf_counter() - began
                # Without the driver's knowledge, which would prepare all statements anew.
                exchange(connection, [("rollback", ())])
            return took

        yield of_postgres
