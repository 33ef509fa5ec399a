"""Following an application: how long a backlog of events takes to become messages, by the size of the batches."""

import asyncio
import gc
import time
from collections.abc import Sequence
from typing import Any

from followed.bookshop import HANDLERS, Bookshop, bookshop
from msgspec import Struct

from sagalog.process_manager import ProcessManager
from sagalog.store import Route, RouteOutcome
from sagalog.stores import store_for
from tests.benchmarks.databases import Database, make_schema
from tests.benchmarks.measure import Series, Sizes

BATCHES = (1, 100, 500)
MOST_ROUNDS = 3


class Followed(Struct):
    """The backlog, and the seconds that it took for each size of the batches."""

    events: int
    batches: list[tuple[int, Series]]


async def followed(application: Database, target: Database, sizes: Sizes) -> Followed:
    """Follow one application anew for each round, in turns of the sizes, under a name of its own."""
    make_schema(target)
    found = [(batch, Series(f"batches of {batch}", [])) for batch in BATCHES]
    with bookshop(application.address) as shop:
        shop.place_many(range(sizes.followed))
        for number in range(min(sizes.rounds, MOST_ROUNDS)):
            for batch, times in found:
                times.seconds.append(await _drain(shop, target.address, sizes.followed, batch, f"{batch}-{number}"))
    return Followed(sizes.followed, found)


async def _drain(shop: Bookshop, address: str, events: int, batch: int, name: str) -> float:
    """Return the seconds from the opening of the process manager until the last event is a durable message."""
    done, loop = asyncio.Event(), asyncio.get_running_loop()
    store: Any = store_for(address)
    route = store.route

    def watched(what: Route) -> RouteOutcome:
        outcome: RouteOutcome = route(what)
        if _last(what.advances) >= events:
            loop.call_soon_threadsafe(done.set)
        return outcome

    store.route = watched
    manager = ProcessManager(store)
    manager.follow(shop, HANDLERS, name=name, batch=batch)
    gc.collect()
    began = time.perf_counter()
    async with manager:
        await done.wait()
        seconds = time.perf_counter() - began
        last = store.find_message(f"follow:{name}:{events}:0")
    if last is None:
        raise RuntimeError(f"expected a message for event {events}, found none")
    return seconds


def _last(advances: Sequence[Any]) -> int:
    return max((advance.position for advance in advances), default=0)
