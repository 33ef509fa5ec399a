"""A saga of requests for kernel tests: it reserves, charges and books by commands; nothing here sends one."""

from typing import Any

from msgspec import Raw, Struct

from sagalog import Command, Event, Retry, Saga
from sagalog.messages import CommandRefused
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.identifiers import effect_id
from sagalog.saga.state import SagaState
from sagalog.testing.kernel import START, Given, given, made, message, started


class Order(Struct, frozen=True):
    order_id: str


class Reserve(Command):
    order_id: str


class Release(Command):
    order_id: str
    reservation: str | None = None


class Charge(Command):
    order_id: str


class Refund(Command):
    order_id: str


class Reserved(Event):
    order_id: str
    reservation: str = "r-1"


class SoldOut(Event):
    reason: str


class Released(Event):
    order_id: str


class StillOut(Event):
    reason: str


class Charged(Event):
    order_id: str


ORDER = Order("order-1")
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


def orders(
    *,
    retry: Retry | None = None,
    charge_first: bool = False,
    pivot: bool = False,
    takes_none: bool = True,
    timeout: float = 3600.0,
) -> Saga[Order]:
    """Return a saga that reserves and charges, each by a command with 60 seconds for the reply."""
    saga = Saga("orders", input=Order, timeout=timeout)

    @saga.request(Reserved, refused=SoldOut, timeout=60, retry=retry or Retry(attempts=1))
    def reserve(order: Order) -> Reserve:
        return Reserve(order_id=order.order_id)

    options: dict[str, Any] = {"reply": Released, "refused": StillOut}
    options["retry"] = Retry(attempts=2, delay=10.0, jitter=0.0)

    def release(reserved: Reserved | None, order: Order) -> Release:
        return Release(order_id=order.order_id, reservation=None if reserved is None else reserved.reservation)

    def release_known(reserved: Reserved, order: Order) -> Release:
        return Release(order_id=order.order_id, reservation=reserved.reservation)

    reserve.compensate(**options)(release if takes_none else release_known)

    @saga.request(Charged, timeout=60, pivot=pivot, retry=retry or Retry(attempts=1))
    def charge(order: Order, reserved: Reserved) -> Charge:
        return Charge(order_id=order.order_id)

    def refund(charged: Charged | None, order: Order) -> Refund:
        return Refund(order_id=order.order_id)

    if not pivot:
        charge.compensate(refund)
    return saga


def begun(saga: Saga[Order]) -> Given:
    """Return an order that has been placed."""
    return given(saga, started(saga, ORDER))


def sent(step: str, attempt: int = 1, round: int = 0) -> i.RequestMade:
    """Tell that the command of a step was made."""
    command = Reserve(order_id="order-1") if step == "reserve" else Charge(order_id="order-1")
    return made(step, command, attempt=attempt, round=round)


def undoing(step: str, attempt: int = 1, round: int = 0) -> i.RequestMade:
    """Tell that the command that undoes a step was made."""
    command = Release(order_id="order-1") if step == "reserve" else Refund(order_id="order-1")
    return made(step, command, attempt=attempt, round=round, direction="compensation")


def reply(step: str, event: Event, *, id: str | None = None, undo: bool = False, round: int = 0) -> i.Receive:
    """Tell of the event that answers a step's command; its id is its name unless given."""
    command_id = effect_id("saga", step, "compensation" if undo else "action", round)
    return message(event, id=id or type(event).__name__, causation_id=command_id)


def times_out(step: str, attempt: int = 1, direction: e.Direction = "action") -> i.TimerFired:
    return i.TimerFired(step, direction, attempt)


RESERVED = Reserved(order_id="order-1")
SOLD_OUT = SoldOut(reason="none left")
CHARGED = Charged(order_id="order-1")
RELEASED = Released(order_id="order-1")
REFUSED = CommandRefused(reason="no such order")


def reserving(**options: Any) -> Given:
    """Return an order whose stock has been asked for."""
    return begun(orders(**options)).when(sent("reserve")).then(e.RequestSent)


def charging(**options: Any) -> Given:
    """Return an order whose stock is reserved and whose money has been asked for."""
    reserved = reserving(**options).when(reply("reserve", RESERVED)).then(e.StepSucceeded)
    return reserved.when(sent("charge")).then(e.RequestSent)


def given_up() -> Given:
    """Return an order that failed since nobody answered, and whose stock was given back by an empty compensation."""
    late = reserving().when(times_out("reserve"), START + MINUTE).then(e.StepFailed, e.CompensationStarted)
    undone = late.when(undoing("reserve")).then(e.RequestSent)
    return undone.when(reply("reserve", RELEASED, undo=True)).then(e.StepCompensated, e.SagaFailed)


def state_of(saga: Given) -> SagaState:
    assert saga.state is not None
    return saga.state


def last(saga: Given) -> Any:
    return saga.events[-1]


def after_the_pivot(retry: Retry | None = None) -> Given:
    """Return a saga that is past its pivot and has asked for one thing more."""
    saga = Saga("past", input=Order)
    saga.request(Reserved, pivot=True, name="pay")(make_reserve)
    saga.request(Reserved, name="ship", retry=retry or Retry(attempts=2, delay=10.0, jitter=0.0))(make_reserve)
    paid = given(saga, started(saga, Order("o"))).when(made("pay", Reserve(order_id="o"))).then(e.RequestSent)
    done = paid.when(reply("pay", RESERVED, id="paid")).then(e.StepSucceeded)
    return done.when(made("ship", Reserve(order_id="o"))).then(e.RequestSent)


def make_reserve(order: Order) -> Reserve:
    return Reserve(order_id=order.order_id)


def two_asked() -> Given:
    """Return a saga that has asked for two things of one kind at once."""
    saga = Saga("two", input=Order)
    with saga.parallel():
        for name in ("a", "b"):
            saga.request(Reserved, compensation=None, name=name)(make_reserve)
    one = given(saga, started(saga, Order("o"))).when(made("a", Reserve(order_id="o"))).then(e.RequestSent)
    return one.when(made("b", Reserve(order_id="o"))).then(e.RequestSent)


def make_release(reserved: Reserved | None, order: Order) -> Reserve:
    return Reserve(order_id=order.order_id)


def note(order: Order) -> None: ...


def named(envelope: Any, name: str, data: bytes) -> Any:
    fields = {"name": name, "data": Raw(data)}
    return type(envelope)(**{one: fields.get(one, getattr(envelope, one)) for one in envelope.__struct_fields__})
