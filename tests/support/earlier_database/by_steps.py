"""The sagas of the earlier app that are made of calls: plain steps, one for each element, a saga as a step."""

import asyncio
from typing import Any

from earlier_database.yard import FAR, TWICE, Yard
from msgspec import Struct

from sagalog import ChildResult, Saga, StepContext


class Order(Struct, frozen=True):
    """An order; `scripts` say by step (and by `undo <step>`) how it goes."""

    order_id: str
    scripts: dict[str, str] = {}
    wants_mail: bool = True
    numbers: tuple[int, ...] = ()
    note: str | None = None


class Reserved(Struct, frozen=True):
    """What reserving gives: every kind of value that JSON has, and text that is not ASCII."""

    shelf: str
    pieces: int
    grams: float
    tags: list[str]
    fragile: bool
    until: None = None


class Charged(Struct, frozen=True):
    """What charging gives."""

    payment: str


order = Saga("order", input=Order, key=lambda order: order.order_id, timeout=FAR)


@order.step(retry=TWICE, timeout=None)
async def reserve(order: Order, yard: Yard, ctx: StepContext) -> Reserved:
    await yard.does(order.scripts, ctx)
    return Reserved(f"shelf “{order.order_id}” é😀", 3, 0.25, ["a", "b"], True)


@reserve.compensate(retry=TWICE, timeout=None)
async def release(reserved: Reserved | None, order: Order, yard: Yard, ctx: StepContext) -> None:
    await yard.does(order.scripts, ctx)


with order.parallel():

    @order.step(retry=TWICE, timeout=None)
    async def charge(order: Order, yard: Yard, ctx: StepContext) -> Charged:
        await yard.does(order.scripts, ctx)
        return Charged(f"pay-{order.order_id}")

    @order.step(retry=TWICE, timeout=None)
    async def inspect(order: Order, reserved: Reserved, yard: Yard, ctx: StepContext) -> int:
        # Never at the same instant as its sibling, so that the order of the events is always the same.
        await asyncio.sleep(0.1)
        await yard.does(order.scripts, ctx)
        return reserved.pieces


@charge.compensate(retry=TWICE, timeout=None)
async def refund(charged: Charged | None, order: Order, yard: Yard, ctx: StepContext) -> None:
    await yard.does(order.scripts, ctx)


@inspect.compensate(retry=TWICE, timeout=None)
async def forget_pieces(pieces: int | None, order: Order, yard: Yard, ctx: StepContext) -> None:
    await asyncio.sleep(0.1)
    await yard.does(order.scripts, ctx)


@order.step(retry=TWICE, pivot=True, compensation=None, timeout=None)
async def ship(order: Order, charged: Charged, yard: Yard, ctx: StepContext) -> str:
    await yard.does(order.scripts, ctx)
    return charged.payment


@order.step(retry=TWICE, when=lambda order: order.wants_mail, timeout=None)
async def notify(order: Order, yard: Yard, ctx: StepContext) -> None:
    await yard.does(order.scripts, ctx)


parcels = Saga("parcels", input=Order, key=lambda order: order.order_id, timeout=FAR)


@parcels.step(for_each=lambda order: order.numbers, retry=TWICE, timeout=None)
async def wrap(number: int, order: Order, yard: Yard, ctx: StepContext) -> str:
    await yard.does(order.scripts, ctx)
    return f"parcel {number}"


@wrap.compensate(retry=TWICE, timeout=None)
async def unwrap(wrapped: str | None, number: int, order: Order, yard: Yard, ctx: StepContext) -> None:
    await yard.does(order.scripts, ctx)


@parcels.step(for_each=lambda order: order.numbers, at_once=True, retry=TWICE, compensation=None, timeout=None)
async def weigh(number: int, order: Order, yard: Yard, ctx: StepContext) -> int:
    await asyncio.sleep(0.1 * number)
    await yard.does(order.scripts, ctx)
    return 100 * number


@parcels.step(retry=TWICE, compensation=None, timeout=None)
async def send_off(order: Order, weights: list[int], yard: Yard, ctx: StepContext) -> int:
    await yard.does(order.scripts, ctx)
    return sum(weights)


leg = Saga("leg", input=Order, timeout=FAR)


@leg.step(retry=TWICE, timeout=None)
async def drive(order: Order, yard: Yard, ctx: StepContext) -> str:
    await yard.does(order.scripts, ctx)
    return "there"


@drive.compensate(retry=TWICE, timeout=None)
async def drive_back(there: str | None, order: Order, yard: Yard, ctx: StepContext) -> None:
    await yard.does(order.scripts, ctx)


@leg.step(retry=TWICE, timeout=None)
async def park(order: Order, yard: Yard, ctx: StepContext) -> None:
    await yard.does(order.scripts, ctx)


@park.compensate(retry=TWICE, timeout=None)
async def leave(_: None, order: Order, yard: Yard, ctx: StepContext) -> None:
    await yard.does(order.scripts, ctx)


trip = Saga("trip", input=Order, key=lambda order: order.order_id, timeout=FAR)


@trip.step(retry=TWICE, timeout=None)
async def plan(order: Order, yard: Yard, ctx: StepContext) -> str:
    await yard.does(order.scripts, ctx)
    return "a plan"


@plan.compensate(retry=TWICE, timeout=None)
async def forget(planned: str | None, order: Order, yard: Yard, ctx: StepContext) -> None:
    await yard.does(order.scripts, ctx)


trip.child(leg, input=lambda order: order, name="there")


@trip.step(retry=TWICE, compensation=None, timeout=None)
async def close(order: Order, there: ChildResult, yard: Yard, ctx: StepContext) -> str:
    await yard.does(order.scripts, ctx)
    return str(there.data["drive"])


SAGAS_OF_STEPS: list[Saga[Any]] = [order, parcels, trip, leg]
