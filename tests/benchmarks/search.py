"""How long `list`, each of its filters and `show` take among very many sagas. It prints nothing."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from msgspec import Struct

from sagalog.process_manager import ProcessManager
from sagalog.store import Query, Store
from sagalog.stores import store_for
from sagalog.stores.sql import statements
from tests.benchmarks import work
from tests.benchmarks.databases import Database, make_schema
from tests.benchmarks.measure import Series, Sizes

SQLITE = statements("tests.benchmarks", "search_sqlite.sql")
POSTGRES = statements("tests.benchmarks", "search_postgres.sql")
AIM_SECONDS = 0.020
CALLS = 15
# In milliseconds since the epoch: a second lies between two sagas, and the newest is of November 2026.
NEWEST = 1_795_400_000_000
ATTRIBUTES = ("customers", "countries", "amounts", "days", "campaigns")


class Search(Struct):
    """How long each question took, several times; `loading` is how long the sagas took."""

    sagas: int
    loading: float
    asked: list[Series]


async def search(database: Database, sizes: Sizes) -> Search:
    """Fill a database with so many sagas and ask it what a person asks."""
    number = sizes.search
    make_schema(database)
    began = time.perf_counter()
    _fill(database.address, number)
    loading = time.perf_counter() - began
    async with ProcessManager(database.address, sagas=[work.three_steps]) as manager:
        shown = (await manager.start(work.three_steps, work.orders("shown", 1)[0])).id
        await manager.result(shown)
    store = store_for(database.address)
    store.open()
    try:
        return Search(number, loading, [_timed(store, *one) for one in questions(store, number, shown)])
    finally:
        store.close()


def _fill(address: str, number: int) -> None:
    given = {"number": number, "newest": NEWEST}
    if address.startswith("sqlite:///"):
        connection = sqlite3.connect(address.removeprefix("sqlite:///"), isolation_level=None)
        try:
            # Only the loading is not durable; what is measured opens connections of its own.
            connection.execute("PRAGMA synchronous = OFF")
            for block in ("sagas", *ATTRIBUTES):
                connection.execute(SQLITE[block], given)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()
        return
    with psycopg.connect(address, autocommit=True) as server:
        for block in ("sagas", *ATTRIBUTES):
            server.execute(POSTGRES[block].encode(), given)
        server.execute(POSTGRES["settle"].encode())


def questions(store: Store, number: int, shown: str) -> Sequence[tuple[str, Callable[[], object]]]:
    """Return what is asked, with a name each."""

    def listed(**wanted: Any) -> Callable[[], object]:
        query = Query(limit=51, **wanted)
        return lambda: store.find(query)

    middle = store.find(Query(key=f"key-{number // 2}"))[0]
    customer = [("customer", "=", "c-7")]
    many, two = [("country", "=", "DE")], [("campaign", "=", "spring")]
    wide, narrow = [("amount", ">=", number // 10)], [("amount", "<", 3)]
    thousands = [("amount", ">=", number - number // 100)]
    an_hour = NEWEST * 1000 - 3_600_000_000
    long_ago = (NEWEST - number * 999) * 1000
    return [
        ("list", listed()),
        ("list --after, from the middle", listed(before=middle.saga_id)),
        ("--status completed", listed(statuses=["completed"])),
        ("--status failed", listed(statuses=["failed"])),
        ("--status stuck, ten", listed(statuses=["stuck"])),
        ("--status pending", listed(statuses=["pending"])),
        ("--status compensating, none", listed(statuses=["compensating"])),
        ("--status started, none", listed(statuses=["started"])),
        ("--saga orders", listed(saga_name="orders")),
        ("--saga rare, ten", listed(saga_name="rare")),
        ("--saga none", listed(saga_name="nobody")),
        ("--saga rare --status failed", listed(saga_name="rare", statuses=["failed"])),
        ("--key", listed(key="key-77")),
        ("--error, all that failed", listed(error="declined")),
        ("--error, one", listed(error="no cover for order 51")),
        ("--error, none", listed(error="nobody")),
        ("--newer 1h", listed(started_after=an_hour)),
        ("--newer, none", listed(started_after=NEWEST * 2000)),
        ("--older, one in a thousand", listed(started_before=long_ago)),
        ("--attribute: a customer, a hundred", listed(attributes=customer)),
        ("--attribute: six in ten", listed(attributes=many)),
        ("--attribute: two", listed(attributes=two)),
        ("--attribute: none", listed(attributes=[("customer", "=", "nobody")])),
        ("--attribute: an order, nine in ten", listed(attributes=wide)),
        ("--attribute: an order, one in a hundred", listed(attributes=thousands)),
        ("--attribute: an order, three", listed(attributes=narrow)),
        ("--attribute: a day long ago", listed(attributes=[("day", "=", "2026-11-10")])),
        ("--attribute: all days before", listed(attributes=[("day", "<=", "2026-11-13")])),
        ("--attribute: != six in ten", listed(attributes=[("country", "!=", "DE")])),
        ("six in ten, after the middle", listed(attributes=many, before=middle.saga_id)),
        ("six in ten --status failed", listed(attributes=many, statuses=["failed"])),
        ("six in ten --status stuck", listed(attributes=many, statuses=["stuck"])),
        ("six in ten --status pending", listed(attributes=many, statuses=["pending"])),
        ("six in ten --saga returns", listed(attributes=many, saga_name="returns")),
        ("six in ten --saga rare", listed(attributes=many, saga_name="rare")),
        ("six in ten --newer 1h", listed(attributes=many, started_after=an_hour)),
        ("six in ten and a customer", listed(attributes=[*many, *customer])),
        ("six in ten and an order, nine in ten", listed(attributes=[*many, *wide])),
        ("six in ten and an order, three", listed(attributes=[*many, *narrow])),
        ("nine in ten --status failed", listed(attributes=wide, statuses=["failed"])),
        ("one in a hundred --status failed", listed(attributes=thousands, statuses=["failed"])),
        ("two --status failed", listed(attributes=two, statuses=["failed"])),
        ("two --saga orders", listed(attributes=two, saga_name="orders")),
        ("the names of attributes", store.attribute_names),
        ("show", lambda: _show(store, shown)),
    ]


def _show(store: Store, saga_id: str) -> object:
    return (
        store.status(saga_id),
        store.steps(saga_id),
        store.read(saga_id),
        store.commands_of(saga_id),
        store.attributes([saga_id]),
    )


def _timed(store: Store, name: str, ask: Callable[[], object]) -> Series:
    seconds: list[float] = []
    ask()
    for _ in range(CALLS):
        began = time.perf_counter()
        ask()
        seconds.append(time.perf_counter() - began)
        if sum(seconds) > 10:
            break
    return Series(name, seconds)
