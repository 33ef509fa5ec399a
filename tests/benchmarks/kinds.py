"""The kinds of work: how each is declared, and how it is done to its end. It measures nothing."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from msgspec import Struct

from sagalog import Choreography, Command, Event, Participant, Saga
from sagalog.process_manager import ProcessManager
from tests.benchmarks import work
from tests.benchmarks.databases import Left
from tests.benchmarks.work import Order, order_key

ELEMENTS = 10
LOOK_AGAIN_SECONDS = 0.002

Look = Callable[[], Left]


class Doing(Protocol):
    """Do one piece of work for each order, all at once, and return when all of it is over and durable.

    `look` says what the database still has to do; it blocks.
    """

    async def __call__(self, manager: ProcessManager, inputs: Sequence[Order], look: Look) -> None: ...


class Declared(Struct):
    """What a process manager is built with, and how its work is done."""

    do: Doing
    sagas: Sequence[Saga[Any]] = ()
    participants: Sequence[Participant] = ()
    choreographies: Sequence[Choreography] = ()

    def manager(self, address: str) -> ProcessManager:
        return ProcessManager(
            address, sagas=self.sagas, participants=self.participants, choreographies=self.choreographies
        )


class Kind(Struct, frozen=True):
    """One kind of work: the part of the benchmark that measures it, and what one piece of it is."""

    part: str
    says: str
    one: str
    declare: Callable[[], Declared]


async def sagas_end(
    manager: ProcessManager, inputs: Sequence[Order], look: Look, *, saga: Saga[Order], status: str
) -> None:
    """Start sagas at once and wait until each has ended as it should."""
    runs = await asyncio.gather(*(manager.start(saga, order) for order in inputs))
    for run in runs:
        result = await run.result()
        if result.status != status:
            raise RuntimeError(f"expected every saga of {saga.name} to be {status}, found {result}")


def _three_steps() -> Declared:
    return Declared(partial(sagas_end, saga=work.three_steps, status="completed"), sagas=[work.three_steps])


def _compensating() -> Declared:
    async def do(manager: ProcessManager, inputs: Sequence[Order], look: Look) -> None:
        refused = [Order(order.order_id, order.customer, order.amount_cents, in_stock=False) for order in inputs]
        await sagas_end(manager, refused, look, saga=work.three_steps, status="failed")

    return Declared(do, sagas=[work.three_steps])


class ReserveStock(Command):
    order_id: str
    customer: str


class StockReserved(Event):
    order_id: str
    shelf: str


def _requests() -> Declared:
    asking, warehouse = Saga("bench-asking", input=Order, key=order_key), Participant("bench-warehouse")

    @asking.request(StockReserved, timeout=600, compensation=None)
    def ask(order: Order) -> ReserveStock:
        return ReserveStock(order_id=order.order_id, customer=order.customer)

    @warehouse.handles
    async def reserve(command: ReserveStock) -> StockReserved:
        return StockReserved(order_id=command.order_id, shelf="B-7")

    return Declared(partial(sagas_end, saga=asking, status="completed"), sagas=[asking], participants=[warehouse])


class OrderPlaced(Event):
    order_id: str
    customer: str
    amount_cents: int


class OrderPacked(Event):
    order_id: str
    parcels: int


class OrderSent(Event):
    order_id: str
    tracking_id: str


def _placed(order: Order) -> OrderPlaced:
    return OrderPlaced(order_id=order.order_id, customer=order.customer, amount_cents=order.amount_cents)


class _Heard:
    """Counts what was handled, and says when it is as much as is waited for."""

    def __init__(self) -> None:
        self._left = 0
        self._all = asyncio.Event()

    def wait_for(self, number: int) -> None:
        self._left = number
        self._all.clear()

    def one(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._all.set()

    async def all(self) -> None:
        await self._all.wait()


async def _published(manager: ProcessManager, inputs: Sequence[Order], heard: _Heard) -> None:
    heard.wait_for(len(inputs))
    await asyncio.gather(*(manager.publish(_placed(order)) for order in inputs))
    await heard.all()


def _participants() -> Declared:
    listening, heard = Participant("bench-listening"), _Heard()

    @listening.on
    async def hear(event: OrderPlaced) -> None:
        heard.one()

    async def do(manager: ProcessManager, inputs: Sequence[Order], look: Look) -> None:
        await _published(manager, inputs, heard)
        # What was handled is over when its row of the inbox is gone: from then on nobody handles it again.
        while (await asyncio.to_thread(look)).messages:
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    return Declared(do, participants=[listening])


def _choreographies() -> Declared:
    packing, sending, heard = Participant("bench-packing"), Participant("bench-sending"), _Heard()

    @packing.on
    async def pack(event: OrderPlaced) -> OrderPacked:
        return OrderPacked(order_id=event.order_id, parcels=2)

    @sending.on
    async def send(event: OrderPacked) -> OrderSent:
        heard.one()
        return OrderSent(order_id=event.order_id, tracking_id="tracking-1")

    delivery = Choreography(
        "bench-delivery",
        key="order_id",
        starts_with=OrderPlaced,
        completes_with=OrderSent,
        compensates={OrderPacked: None},
        participants=[packing, sending],
        timeout=3600,
    )

    async def do(manager: ProcessManager, inputs: Sequence[Order], look: Look) -> None:
        ended = (await asyncio.to_thread(look)).ended
        await _published(manager, inputs, heard)
        while (left := await asyncio.to_thread(look)).messages or left.ended < ended + len(inputs):
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    return Declared(do, participants=[packing, sending], choreographies=[delivery])


def _children() -> Declared:
    parent, child = (
        Saga("bench-parent", input=Order, key=order_key),
        Saga("bench-child", input=Order),
    )
    for name in ("book", "label"):
        child.step(compensation=None)(work.doing(name))
    parent.step(compensation=None)(work.doing("pay"))
    parent.child(child, input=lambda order: order, name="ship", compensation=None)
    return Declared(partial(sagas_end, saga=parent, status="completed"), sagas=[parent, child])


def _for_each() -> Declared:
    saga = Saga("bench-for-each", input=Order, key=order_key)

    @saga.step(for_each=_lines, compensation=None)
    async def reserve_line(line: int, order: Order) -> work.Done:
        return work.Done("done", line)

    return Declared(partial(sagas_end, saga=saga, status="completed"), sagas=[saga])


def _lines(order: Order) -> list[int]:
    return list(range(ELEMENTS))


KINDS = (
    Kind("three-steps", "three steps that succeed", "saga", _three_steps),
    Kind("compensating", "two steps, a third that is refused, and two undone", "saga", _compensating),
    Kind("requests", "a step that sends a command, and its reply by a participant", "saga", _requests),
    Kind("participants", "an event that is published and handled by a participant", "message", _participants),
    Kind("choreographies", "three events of two participants, followed to their end", "process", _choreographies),
    Kind("children", "a step, and another saga of two steps as the second", "saga", _children),
    Kind("for-each", f"a step for each of {ELEMENTS} elements", "saga", _for_each),
)
