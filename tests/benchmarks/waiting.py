"""The memory of an open saga that waits in a worker, by what it waits for."""

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Callable

import psutil
from msgspec import Struct

from sagalog import Event, Saga
from sagalog.process_manager import ProcessManager
from tests.benchmarks import work
from tests.benchmarks.databases import Database, Left, make_schema
from tests.benchmarks.measure import Sizes, finish
from tests.benchmarks.work import Order, order_key, orders

AT_ONCE = 1000
# What is not the worker's alone is traced, and tracing makes it slow: so of fewer.
FEWEST_TRACED = 5
LOOK_AGAIN_SECONDS = 0.05
LONG_SECONDS = 3600.0
PATIENCE_SECONDS = 120.0


class Waiting(Struct):
    """So many sagas that wait: bytes for each that the process holds, and that Python has allocated and not freed.

    The first holds also what the allocator keeps for later; of the second only so many were counted.
    """

    says: str
    number: int
    resident: float
    traced_number: int
    traced: float


class StockArrived(Event):
    order_id: str


class _Handlers:
    """Handlers that wait until they are let go."""

    def __init__(self) -> None:
        self.waiting = 0
        self.go = asyncio.Event()

    async def wait(self, order: Order) -> work.Done:
        self.waiting += 1
        await self.go.wait()
        return work.Done("done", 0)


def _for_an_event(handlers: _Handlers) -> Saga[Order]:
    saga = Saga("bench-waiting", input=Order, key=order_key)
    saga.wait_for(StockArrived, key=_key_of, timeout=LONG_SECONDS)
    return saga


def _key_of(event: StockArrived) -> str:
    return event.order_id


def _for_a_time(handlers: _Handlers) -> Saga[Order]:
    saga = Saga("bench-sleeping", input=Order, key=order_key)
    saga.sleep(LONG_SECONDS, name="rest")
    return saga


def _for_a_handler(handlers: _Handlers) -> Saga[Order]:
    saga = Saga("bench-at-work", input=Order, key=order_key)
    saga.step(compensation=None, timeout=LONG_SECONDS)(handlers.wait)
    return saga


WAITS: dict[str, Callable[[_Handlers], Saga[Order]]] = {
    "for an event": _for_an_event,
    "for a time": _for_a_time,
    "for its handler": _for_a_handler,
}


async def waiting(what: str, resident: Database, traced: Database, sizes: Sizes) -> Waiting:
    """Measure sagas that all wait for the same; the tracing comes last."""
    few = max(1, sizes.waiting // FEWEST_TRACED)
    held = await _held(WAITS[what], resident, sizes.waiting, _resident)
    tracemalloc.start()
    try:
        allocated = await _held(WAITS[what], traced, few, _traced)
    finally:
        tracemalloc.stop()
    return Waiting(what, sizes.waiting, held / sizes.waiting, few, allocated / few)


async def _held(
    declare: Callable[[_Handlers], Saga[Order]], database: Database, number: int, held: Callable[[], int]
) -> int:
    """Return how many bytes more are held when so many sagas wait than when others have ended."""
    make_schema(database)
    handlers = _Handlers()
    saga = declare(handlers)
    with database.looking() as look:
        async with ProcessManager(database.address, sagas=[saga, work.three_steps]) as manager:
            await finish(manager, work.three_steps, orders("warm", min(number, AT_ONCE)))
            gc.collect()
            before = held()
            for first in range(0, number, AT_ONCE):
                several = orders(f"waiting-{first}", min(AT_ONCE, number - first))
                await asyncio.gather(*(manager.start(saga, order) for order in several))
            await _all_wait(number, handlers, look)
            gc.collect()
            after = held()
            handlers.go.set()
    return after - before


async def _all_wait(number: int, handlers: _Handlers, look: Callable[[], Left]) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while handlers.waiting + (await asyncio.to_thread(look)).pending < number:
        if time.monotonic() > give_up:
            raise RuntimeError(f"expected {number} sagas to wait, found {handlers.waiting} and {look()}")
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


def _resident() -> int:
    return psutil.Process().memory_info().rss


def _traced() -> int:
    return tracemalloc.get_traced_memory()[0]
