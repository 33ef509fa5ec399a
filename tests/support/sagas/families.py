"""A saga with a child saga, which has a child of its own, for stories and simulations about sagas that are steps."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from sagas.trip import ASK, UNDO

from sagalog import ChildResult, Saga, StepContext
from sagalog.testing.recording_service import RecordingService
from sagalog.testing.simulation.world import World


class Order(Struct, frozen=True, kw_only=True):
    """An order; `scripts` tells by step (and by `step undo`) what happens there, in whichever saga it is."""

    order_id: str
    wants_gift: bool = False
    scripts: dict[str, str] = {}


class Parcel(Struct, frozen=True, kw_only=True):
    """The part of an order that is shipped."""

    number: int
    scripts: dict[str, str] = {}


class Shipped(Struct, frozen=True):
    number: int


class Company:
    """Every service of an order: one participant behind a network."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.participant = RecordingService()
        self.mended = False

    async def ask(self, scripts: Mapping[str, str], context: StepContext) -> None:
        """Send a request over the network."""
        undoing = context.idempotency_key != f"{context.saga_id}:{context.step}"
        script = scripts.get(f"{context.step} undo" if undoing else context.step, "ok")
        await self.world.call(context, self.participant.play(context, "ok" if self.mended else script))


def _declare(saga: Saga[Any], name: str, **options: Any) -> None:
    """Declare a step that asks, and asks again to be undone."""

    async def act(given: Any, company: Company, ctx: StepContext) -> Shipped:
        await company.ask(given.scripts, ctx)
        return Shipped(1)

    async def undo(shipped: Shipped | None, given: Any, company: Company, ctx: StepContext) -> None:
        await company.ask(given.scripts, ctx)

    act.__annotations__["given"] = undo.__annotations__["given"] = saga.input
    step: Any = saga.step
    declared = step(name=name, retry=ASK, timeout=2, **options)(act)
    declared.compensate(retry=UNDO, timeout=2)(undo)


label_saga: Saga[Parcel] = Saga("label", input=Parcel, timeout=60.0)
_declare(label_saga, "print_label")

parcel_saga: Saga[Parcel] = Saga("parcel", input=Parcel, timeout=60.0)
_declare(parcel_saga, "pack")
parcel_saga.child(label_saga, input=lambda parcel: parcel, name="label")
_declare(parcel_saga, "hand_over")

gift_saga: Saga[Parcel] = Saga("gift", input=Parcel, timeout=60.0)
_declare(gift_saga, "wrap")

order_saga: Saga[Order] = Saga("order", input=Order, timeout=60.0, key=lambda order: order.order_id)
_declare(order_saga, "charge")

with order_saga.parallel():
    order_saga.child(parcel_saga, input=lambda order: Parcel(number=1, scripts=order.scripts), name="ship")
    order_saga.child(
        gift_saga,
        input=lambda order: Parcel(number=2, scripts=order.scripts),
        name="give",
        when=lambda order: order.wants_gift,
    )
    _declare(order_saga, "inform")


@order_saga.step(retry=ASK, timeout=2)
async def close(order: Order, ship: ChildResult, company: Company, ctx: StepContext) -> int:
    await company.ask(order.scripts, ctx)
    return len(ship.data)


@close.compensate(retry=UNDO, timeout=2)
async def reopen(number: int | None, order: Order, company: Company, ctx: StepContext) -> None:
    await company.ask(order.scripts, ctx)


FAMILY: list[Saga[Any]] = [order_saga, parcel_saga, label_saga, gift_saga]


def family_services(world: World) -> Mapping[type, object]:
    return {Company: Company(world)}
