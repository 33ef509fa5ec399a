"""How long `list`, each of its filters and `show` take among very many sagas. It prints nothing."""

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
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
AN_HOUR_AGO = NEWEST * 1000 - 3_600_000_000
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
    middle = store.find(Query(key=f"key-{number // 2}"))[0].saga_id
    asked = {**_by_columns(number, middle), **_by_attributes(number, middle)}
    return [
        *((name, partial(store.find, Query(limit=51, **wanted))) for name, wanted in asked.items()),
        ("the names of attributes", store.attribute_names),
        ("show", partial(_show, store, shown)),
    ]


def _by_columns(number: int, middle: str) -> Mapping[str, Mapping[str, Any]]:
    return {
        "list": {},
        "list --after, from the middle": {"before": middle},
        "--status completed": {"statuses": ["completed"]},
        "--status failed": {"statuses": ["failed"]},
        "--status stuck, ten": {"statuses": ["stuck"]},
        "--status pending": {"statuses": ["pending"]},
        "--status compensating, none": {"statuses": ["compensating"]},
        "--status started, none": {"statuses": ["started"]},
        "--saga orders": {"saga_name": "orders"},
        "--saga rare, ten": {"saga_name": "rare"},
        "--saga none": {"saga_name": "nobody"},
        "--saga rare --status failed": {"saga_name": "rare", "statuses": ["failed"]},
        "--key": {"key": "key-77"},
        "--error, all that failed": {"error": "declined"},
        "--error, one": {"error": "no cover for order 51"},
        "--error, none": {"error": "nobody"},
        "--newer 1h": {"started_after": AN_HOUR_AGO},
        "--newer, none": {"started_after": NEWEST * 2000},
        "--older, one in a thousand": {"started_before": (NEWEST - number * 999) * 1000},
    }


def _by_attributes(number: int, middle: str) -> Mapping[str, Mapping[str, Any]]:
    customer = [("customer", "=", "c-7")]
    many, two = [("country", "=", "DE")], [("campaign", "=", "spring")]
    wide, narrow = [("amount", ">=", number // 10)], [("amount", "<", 3)]
    thousands = [("amount", ">=", number - number // 100)]
    return {
        "--attribute: a customer, a hundred": {"attributes": customer},
        "--attribute: six in ten": {"attributes": many},
        "--attribute: two": {"attributes": two},
        "--attribute: none": {"attributes": [("customer", "=", "nobody")]},
        "--attribute: an order, nine in ten": {"attributes": wide},
        "--attribute: an order, one in a hundred": {"attributes": thousands},
        "--attribute: an order, three": {"attributes": narrow},
        "--attribute: a day long ago": {"attributes": [("day", "=", "2026-11-10")]},
        "--attribute: all days before": {"attributes": [("day", "<=", "2026-11-13")]},
        "--attribute: != six in ten": {"attributes": [("country", "!=", "DE")]},
        "six in ten, after the middle": {"attributes": many, "before": middle},
        "six in ten --status failed": {"attributes": many, "statuses": ["failed"]},
        "six in ten --status stuck": {"attributes": many, "statuses": ["stuck"]},
        "six in ten --status pending": {"attributes": many, "statuses": ["pending"]},
        "six in ten --saga returns": {"attributes": many, "saga_name": "returns"},
        "six in ten --saga rare": {"attributes": many, "saga_name": "rare"},
        "six in ten --newer 1h": {"attributes": many, "started_after": AN_HOUR_AGO},
        "six in ten and a customer": {"attributes": [*many, *customer]},
        "six in ten and an order, nine in ten": {"attributes": [*many, *wide]},
        "six in ten and an order, three": {"attributes": [*many, *narrow]},
        "nine in ten --status failed": {"attributes": wide, "statuses": ["failed"]},
        "one in a hundred --status failed": {"attributes": thousands, "statuses": ["failed"]},
        "two --status failed": {"attributes": two, "statuses": ["failed"]},
        "two --saga orders": {"attributes": two, "saga_name": "orders"},
    }


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
