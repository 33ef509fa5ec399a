"""What in the earlier app speaks by messages: a saga of requests, sagas that wait, a choreography, participants."""

from collections.abc import Mapping
from typing import Any

from earlier_database.yard import FAR, TWICE, Yard
from msgspec import Struct, field

from sagalog import Choreography, Command, Event, MessageContext, Participant, Refused, Saga, StepContext


class DeliveryOrdered(Event):
    order_id: str
    scripts: dict[str, str] = field(default_factory=dict[str, str])
    parcels: int = 2


class BookVan(Command):
    order_id: str
    script: str


class VanBooked(Event):
    order_id: str
    van: str


class FreeVan(Command):
    order_id: str
    van: str | None


class VanFreed(Event):
    order_id: str


class TakeMoney(Command):
    order_id: str
    cents: int


class MoneyTaken(Event):
    order_id: str
    payment: str


class MoneyRefused(Event):
    order_id: str
    reason: str


class GiveBack(Command):
    order_id: str


class MoneyGivenBack(Event):
    order_id: str


class PrintLabel(Command):
    order_id: str
    number: int


class LabelPrinted(Event):
    order_id: str
    number: int


class DriveVan(Command):
    order_id: str
    script: str


class VanDriven(Event):
    order_id: str


class Delivery(Struct, frozen=True):
    """What a delivery is started with."""

    order_id: str
    scripts: dict[str, str] = {}
    parcels: int = 2


delivery = Saga("delivery", input=Delivery, key=lambda delivery: delivery.order_id, timeout=FAR)
delivery.started_by(DeliveryOrdered, input=lambda event: Delivery(event.order_id, event.scripts, event.parcels))


@delivery.request(VanBooked, timeout=FAR)
def book(delivery: Delivery) -> BookVan:
    return BookVan(order_id=delivery.order_id, script=delivery.scripts.get("book", "ok"))


@book.compensate(reply=VanFreed, timeout=FAR)
def free(booked: VanBooked | None, delivery: Delivery) -> FreeVan:
    return FreeVan(order_id=delivery.order_id, van=booked.van if booked else None)


@delivery.request(MoneyTaken, refused=MoneyRefused, timeout=FAR)
def pay(delivery: Delivery) -> TakeMoney:
    return TakeMoney(order_id=delivery.order_id, cents=2500)


@pay.compensate(reply=MoneyGivenBack, timeout=FAR)
def give_back(taken: MoneyTaken | None, delivery: Delivery) -> GiveBack:
    return GiveBack(order_id=delivery.order_id)


@delivery.request(LabelPrinted, for_each=lambda delivery: range(delivery.parcels), timeout=FAR, compensation=None)
def label(number: int, delivery: Delivery) -> PrintLabel:
    return PrintLabel(order_id=delivery.order_id, number=number)


@delivery.request(VanDriven, timeout=FAR, pivot=True, compensation=None)
def drive_van(delivery: Delivery) -> DriveVan:
    return DriveVan(order_id=delivery.order_id, script=delivery.scripts.get("drive", "ok"))


vans = Participant("vans", retry=TWICE, timeout=None)


@vans.handles
async def book_van(command: BookVan, yard: Yard, ctx: MessageContext) -> VanBooked:
    await yard.goes("book", {"book": command.script}, ctx.attempt)
    return VanBooked(order_id=command.order_id, van="van-7")


@vans.handles
async def free_van(command: FreeVan) -> VanFreed:
    return VanFreed(order_id=command.order_id)


@vans.handles
async def print_label(command: PrintLabel) -> LabelPrinted:
    return LabelPrinted(order_id=command.order_id, number=command.number)


@vans.handles
async def drive_away(command: DriveVan) -> VanDriven:
    if command.script == "refused":
        raise Refused("the road is closed")
    return VanDriven(order_id=command.order_id)


class ReturnAnnounced(Event):
    return_id: str


class GoodsArrived(Event):
    return_id: str
    grams: int


class Inquired(Event):
    inquiry_id: str


class Answered(Event):
    inquiry_id: str
    text: str


SLOW = "return-early"


class Case(Struct, frozen=True):
    """What sagas that wait are started with."""

    case_id: str


goods_return = Saga("goods-return", input=Case, key=lambda case: case.case_id, timeout=FAR)
goods_return.started_by(ReturnAnnounced, input=lambda event: Case(event.return_id))


@goods_return.step(retry=TWICE, timeout=None)
async def open_case(case: Case, yard: Yard, ctx: StepContext) -> str:
    await yard.goes("open_case", {"open_case": "fails once" if case.case_id == SLOW else "ok"}, ctx.attempt)
    return f"case {case.case_id}"


@open_case.compensate(timeout=None)
async def close_case(opened: str | None, yard: Yard, ctx: StepContext) -> None: ...


goods_return.wait_for(GoodsArrived, key=lambda event: event.return_id, timeout=FAR)
goods_return.sleep(1, name="dry_off")


@goods_return.step(compensation=None, timeout=None)
async def pay_out(goods: GoodsArrived) -> int:
    return goods.grams


inquiry = Saga("inquiry", input=Case, key=lambda case: case.case_id, after_end="rerun", timeout=None)
inquiry.started_by(Inquired, input=lambda event: Case(event.inquiry_id))
inquiry.wait_for(Answered, key=lambda event: event.inquiry_id, timeout=1800)


class Bought(Event):
    order_id: str
    cents: int


class Kept(Event):
    order_id: str
    cents: int


class Paid(Event):
    order_id: str


class NotPaid(Event):
    order_id: str
    reason: str


class PaymentLost(Event):
    order_id: str


class PutBack(Event):
    order_id: str


HANGS, TOO_MUCH, LOST = 13, 10_000, 666
stock = Participant("stock", retry=TWICE, timeout=None)
bank = Participant("bank", retry=TWICE, timeout=None)


@stock.on
async def keep(event: Bought) -> Kept:
    return Kept(order_id=event.order_id, cents=event.cents)


@stock.on
async def put_back(event: NotPaid) -> PutBack:
    return PutBack(order_id=event.order_id)


@bank.on
async def take(event: Kept, yard: Yard, ctx: MessageContext) -> Paid | NotPaid | PaymentLost:
    scripts: Mapping[str, str] = {"take": "hangs"} if event.cents == HANGS else {}
    await yard.goes("take", scripts, ctx.attempt)
    if event.cents == LOST:
        return PaymentLost(order_id=event.order_id)
    if event.cents > TOO_MUCH:
        return NotPaid(order_id=event.order_id, reason="over the limit")
    return Paid(order_id=event.order_id)


purchase = Choreography(
    "purchase",
    key="order_id",
    starts_with=Bought,
    completes_with=Paid,
    fails_with=PutBack,
    stuck_with=PaymentLost,
    compensates={Kept: PutBack},
    participants=[stock, bank],
    timeout=FAR,
)

SAGAS_OF_MESSAGES: list[Saga[Any]] = [delivery, goods_return, inquiry]
PARTICIPANTS = [vans, stock, bank]
