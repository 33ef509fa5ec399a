"""The declarations as they are meant to be used; both type checkers must accept this and infer what is asserted."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, assert_type

from pydantic import BaseModel

from sagalog import (
    ChildResult,
    Choreography,
    Command,
    Event,
    MessageContext,
    Participant,
    Refused,
    Retry,
    Saga,
    StepContext,
)
from sagalog.process_manager import ProcessManager, SagaResult, SagaRun
from sagalog.saga.declare import AsyncStep, SyncStep
from sagalog.saga.messages.declare import WaitStep
from sagalog.store import AttributeRow, StatusRow, StepRow
from sagalog.store.attributes import Condition


class Line(BaseModel):
    sku: str


class Order(BaseModel):
    order_id: str
    gift: bool = False
    lines: list[Line] = []


@dataclass(frozen=True)
class Parcel:
    sku: str


@dataclass(frozen=True)
class Reservation:
    reservation_id: str


@dataclass(frozen=True)
class Payment:
    payment_id: str


class Inventory:
    async def reserve(self, order_id: str, key: str) -> str:
        return f"{order_id} {key}"

    async def release(self, key: str) -> None: ...


class OrderPlaced(Event):
    order_id: str
    gift: bool = False


class ReserveInventory(Command):
    order_id: str


fulfilment = Saga(
    "order-fulfilment",
    input=Order,
    version=2,
    timeout=timedelta(hours=1),
    key=lambda order: order.order_id,
    after_end="rerun",
)
assert_type(fulfilment, Saga[Order])


@fulfilment.step
async def reserve(order: Order, inventory: Inventory, ctx: StepContext) -> Reservation:
    """A bare decorator on a coroutine function."""
    return Reservation(await inventory.reserve(order.order_id, ctx.idempotency_key))


@reserve.compensate
async def release(reservation: Reservation | None, inventory: Inventory, ctx: StepContext) -> None:
    """A compensation that can take an unknown result."""
    await inventory.release(ctx.action_key if reservation is None else reservation.reservation_id)


@fulfilment.step(retry=Retry(attempts=3, delay=0.2), timeout=timedelta(seconds=30))
def pay(order: Order, reservation: Reservation) -> Payment:
    """A decorator with options on a plain function."""
    if order.gift:
        raise Refused("gifts are not paid for")
    return Payment(reservation.reservation_id)


@pay.compensate(retry=Retry(attempts=20), timeout=None)
def refund(payment: Payment) -> None:
    """A compensation that needs to know what it undoes."""


with fulfilment.parallel():

    @fulfilment.step(when=lambda order: order.gift, compensation=None)
    async def wrap(order: Order) -> None: ...

    @fulfilment.step(compensation=None, name="tell-the-customer")
    def tell(payment: Payment | None) -> str | None:
        return None if payment is None else payment.payment_id


@fulfilment.step(for_each=lambda order: order.lines, at_once=True)
async def pack(line: Line, order: Order, inventory: Inventory) -> Parcel:
    """A step for each element, which it takes first."""
    return Parcel(line.sku)


@pack.compensate
async def unpack(parcel: Parcel | None, line: Line) -> None:
    """A compensation takes the result of one part."""


@fulfilment.step(for_each=lambda order: range(3), at_once=2, compensation=None, when=lambda order: order.gift)
def print_label(number: int, parcels: list[Parcel]) -> int:
    return number * len(parcels)


@fulfilment.step(pivot=True, timeout=5)
def ship(order: Order) -> None: ...


@wrap.compensate(retry=Retry(attempts=None, for_=timedelta(days=1), delay=timedelta(seconds=1), max_delay=300))
async def unwrap(_: None, order: Order) -> None: ...


def a_step_is_known_by_its_parameters_and_its_result(order: Order, inventory: Inventory, ctx: StepContext) -> None:
    assert_type(reserve.name, str)
    assert_type(pay(order, Reservation("r")), Payment)
    assert_type(pay(order=order, reservation=Reservation("r")).payment_id, str)
    reserving: Coroutine[Any, Any, Reservation] = reserve(order, inventory, ctx=ctx)
    reserving.close()
    assert_type(tell(None), str | None)
    packing: Coroutine[Any, Any, Parcel] = pack(Line(sku="mug"), order, inventory)
    packing.close()
    assert_type(print_label(1, [Parcel("mug")]), int)
    asynchronous: AsyncStep[..., Reservation] = reserve
    plain: SyncStep[[Order, Reservation], Payment] = pay
    assert asynchronous.name != plain.name


async def a_compensation_stays_a_plain_function(inventory: Inventory, ctx: StepContext) -> None:
    await release(None, inventory, ctx)
    await release(Reservation("r"), inventory=inventory, ctx=ctx)
    refund(Payment("p"))
    await asyncio.create_task(unwrap(None, order=Order(order_id="order-1")))


async def a_process_manager_is_typed_end_to_end(inventory: Inventory) -> None:
    async with ProcessManager("memory://", sagas=[fulfilment], services={Inventory: inventory}) as manager:
        run = await manager.start(fulfilment, Order(order_id="order-1"), key="order-1")
        assert_type(run, SagaRun)
        assert_type(run.created, bool)
        assert_type(await run.status(), StatusRow)
        result = await manager.execute(fulfilment, Order(order_id="order-2"), timeout=5)
        assert_type(result, SagaResult)
        assert_type(result.status, Literal["completed", "failed", "abandoned", "stuck"])
        assert_type(await manager.find(saga_name="order-fulfilment", statuses=["stuck"]), list[StatusRow])
        assert_type(await manager.steps(run.id), list[StepRow])
        wanted: list[Condition] = [("customer", "=", "c-1"), ("amount", ">=", 100)]
        assert_type(await manager.find(attributes=[*wanted, ("day", "<", date(2026, 1, 5))]), list[StatusRow])
        assert_type(await manager.attributes(run.id), list[AttributeRow])
        assert_type(await manager.find(statuses=("started", "pending"), error="bank", limit=5), list[StatusRow])
        await manager.resume(run.id, actor="ada", reason="the account is open again")
        await manager.resume("order-2", fulfilment.name, actor="ada", reason="the account is open again")


def a_context_says_when_the_attempt_has_to_be_over(ctx: StepContext) -> datetime | None:
    assert_type(ctx.attempt, int)
    return ctx.deadline


def a_message_is_made_by_name() -> tuple[Event, Command]:
    assert_type(OrderPlaced(order_id="order-1").gift, bool)
    return OrderPlaced(order_id="order-1", gift=True), ReserveInventory(order_id="order-1")


class InventoryReserved(Event):
    order_id: str


class InventoryRejected(Event):
    order_id: str


class ReleaseInventory(Command):
    order_id: str


warehouse = Participant("warehouse", retry=Retry(for_=3_600, delay=0.2), timeout=timedelta(seconds=30))


@warehouse.handles
async def reserve_stock(
    command: ReserveInventory, inventory: Inventory, ctx: MessageContext
) -> InventoryReserved | InventoryRejected:
    """A bare decorator on a coroutine function."""
    await inventory.reserve(command.order_id, ctx.idempotency_key)
    return InventoryReserved(order_id=command.order_id)


@warehouse.handles(ReleaseInventory, retry=Retry(attempts=20), timeout=None)
def release_stock(command: ReleaseInventory) -> None:
    """A decorator with a type and options on a plain function."""


@warehouse.on
def react(event: OrderPlaced) -> InventoryReserved | None: ...


@warehouse.on(name="count", timeout=5)
async def count(event: InventoryReserved | InventoryRejected) -> Sequence[InventoryReserved | InventoryRejected]:
    return []


@warehouse.on(InventoryReserved)
@warehouse.on(InventoryRejected)
def tally(event: InventoryReserved | InventoryRejected, ctx: MessageContext) -> list[InventoryReserved]:
    return []


def a_handler_stays_a_plain_function(inventory: Inventory, ctx: MessageContext) -> None:
    assert_type(react(OrderPlaced(order_id="order-1")), InventoryReserved | None)
    reserving: Coroutine[Any, Any, InventoryReserved | InventoryRejected] = reserve_stock(
        ReserveInventory(order_id="order-1"), inventory, ctx
    )
    reserving.close()
    released: Callable[[ReleaseInventory], None] = release_stock
    released(ReleaseInventory(order_id="order-1"))
    assert_type(tally(InventoryReserved(order_id="order-1"), ctx), list[InventoryReserved])
    assert_type(tally(InventoryRejected(order_id="order-1"), ctx=ctx), list[InventoryReserved])
    assert_type(ctx.causation_id, str | None)


# ------------------------------------------------------------------------------------------- requests and waits


class InventoryReleased(Event):
    order_id: str


class ParcelArrived(Event):
    order_id: str


by_message = Saga("by-message", input=Order, key=lambda order: order.order_id)
by_message.started_by(OrderPlaced, input=lambda event: Order(order_id=event.order_id, gift=event.gift))
by_message.started_by(
    InventoryReserved, input=lambda event: Order(order_id=event.order_id), key=lambda event: event.order_id
)


@by_message.request(InventoryReserved, refused=InventoryRejected, timeout=60)
def ask_for_stock(order: Order) -> ReserveInventory:
    """A request is a plain function that makes a command."""
    return ReserveInventory(order_id=order.order_id)


@ask_for_stock.compensate
def give_stock_back(reserved: InventoryReserved | None, order: Order) -> ReleaseInventory:
    """A compensation by a command."""
    return ReleaseInventory(order_id=order.order_id)


@by_message.request(InventoryReserved, refused=(InventoryRejected,), retry=Retry(attempts=3), name="again")
async def ask_once_more(order: Order, inventory: Inventory) -> ReserveInventory:
    """A request may have to ask somebody for what the command says."""
    return ReserveInventory(order_id=await inventory.reserve(order.order_id, "key"))


@ask_once_more.compensate(reply=InventoryReleased, refused=InventoryRejected, timeout=timedelta(minutes=1))
async def give_back_if_need_be(reserved: InventoryReserved) -> ReleaseInventory | None:
    """A compensation that sends a command only if there is something to give back."""
    return ReleaseInventory(order_id=reserved.order_id)


@by_message.request(InventoryReserved, pivot=True)
def ask_for_good(order: Order) -> ReserveInventory:
    """A pivot may be a request too."""
    return ReserveInventory(order_id=order.order_id)


@ask_for_good.compensate(timeout=5)
async def undo_here(reserved: InventoryReserved | None, inventory: Inventory) -> None:
    """A compensation that needs no command."""


class Kind(Enum):
    GIFT = "gift"


found_by = Saga(
    "found-by",
    input=Order,
    attributes=lambda order: {"order": order.order_id, "gift": order.gift, "lines": len(order.lines), "note": None},
)


@found_by.step(compensation=None, attributes=lambda parcel: {"kind": Kind.GIFT, "cost": Decimal("9.90")})
def send_off(order: Order) -> Parcel:
    """What its result brings is found by a function that comes before, so its parameter is of any type."""
    return Parcel("p-1")


@found_by.request(InventoryReserved, compensation=None, attributes=lambda reply: {"stock": reply.order_id})
def ask_for_more(order: Order) -> ReserveInventory:
    """The reply brings attributes."""
    return ReserveInventory(order_id=order.order_id)


found_by.wait_for(ParcelArrived, key=lambda event: event.order_id, attributes=lambda event: {"by": event.order_id})
arrived = by_message.wait_for(ParcelArrived, key=lambda event: event.order_id, timeout=timedelta(days=14))
nap = by_message.sleep(timedelta(hours=1), name="cool_down", when=lambda order: order.gift)


@by_message.request(InventoryReserved, for_each=lambda order: order.lines, at_once=True)
def ask_for_each(line: Line, order: Order) -> ReserveInventory:
    """One command for each element, which the function takes first."""
    return ReserveInventory(order_id=line.sku)


@ask_for_each.compensate
def release_each(reserved: InventoryReserved | None, line: Line) -> None: ...


parcels = Saga("parcels", input=Line)


@parcels.step(compensation=None)
def pack_one(line: Line) -> int:
    return len(line.sku)


shipping = by_message.child(parcels, input=lambda order: Line(sku=order.order_id), name="ship")


@by_message.child(parcels, when=lambda order: order.gift)
def ship_gift(order: Order, reserved: InventoryReserved) -> Line:
    """The input of a child may be made of earlier results."""
    return Line(sku=reserved.order_id)


@by_message.step(compensation=None)
def count_parcels(ship: ChildResult, ship_gift: ChildResult | None) -> int:
    return len(ship.data) + (0 if ship_gift is None else len(ship_gift.data))


def a_child_is_known_by_what_makes_its_input(order: Order, reserved: InventoryReserved) -> None:
    assert_type(shipping(order), Line)
    assert_type(ship_gift(order, reserved), Line)
    assert_type(shipping.name, str)


def a_request_is_known_by_its_command_and_its_reply(order: Order, inventory: Inventory) -> None:
    assert_type(ask_for_stock(order), ReserveInventory)
    assert_type(ask_for_stock.name, str)
    making: Coroutine[Any, Any, ReserveInventory] = ask_once_more(order, inventory)
    making.close()
    assert_type(give_stock_back(None, order), ReleaseInventory)
    assert_type(arrived, WaitStep[ParcelArrived])
    assert_type(arrived.event, type[ParcelArrived])
    assert_type(nap.name, str)


choreographed = Choreography(
    "choreographed-fulfilment",
    key="order_id",
    starts_with=OrderPlaced,
    completes_with=(InventoryReserved,),
    fails_with=[InventoryRejected],
    compensates={InventoryReserved: InventoryRejected, InventoryRejected: None},
    participants=[warehouse],
    from_outside={OrderPlaced: InventoryRejected},
    timeout=timedelta(hours=1),
)
watched = Choreography(
    "watched", key="order_id", starts_with=OrderPlaced, completes_with=InventoryReserved, timeout=None, observed=True
)


def choreographies_are_followed_by_a_process_manager() -> ProcessManager:
    assert_type(choreographed.participants, tuple[Participant, ...])
    return ProcessManager("memory://", participants=[warehouse], choreographies=[choreographed, watched])
