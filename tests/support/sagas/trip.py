"""A saga with everything that order-fulfilment lacks: parallel steps, conditions, a waiver, a pivot, a deadline."""

from collections.abc import Mapping
from datetime import timedelta

from msgspec import Struct

from sagalog import Retry, Saga, StepContext
from sagalog.testing.recording_service import RecordingService
from sagalog.testing.simulation.world import World


class Trip(Struct, frozen=True, kw_only=True):
    """A trip; `scripts` tells by step (and by `step undo`) how the participant behaves."""

    trip_id: str
    wants_car: bool = True
    wants_mail: bool = True
    scripts: dict[str, str] = {}


class Booked(Struct, frozen=True):
    what: str


class Flight(Booked, frozen=True):
    pass


class Hotel(Booked, frozen=True):
    pass


class Car(Booked, frozen=True):
    pass


class Visa(Booked, frozen=True):
    pass


class Paid(Booked, frozen=True):
    pass


class Agency:
    """Every service of a trip: one participant behind a network."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.participant = RecordingService()
        self.mended = False

    async def ask(self, trip: Trip, context: StepContext) -> None:
        """Send a request over the network."""
        await self.world.call(context, self.participant.play(context, self.script(trip, context)))

    def ask_here(self, trip: Trip, context: StepContext) -> None:
        """Ask from a plain function; the simulation's threads bring the delays."""
        self.participant.play(context, self.script(trip, context))()

    def script(self, trip: Trip, context: StepContext) -> str:
        if self.mended:
            return "ok"
        undoing = context.idempotency_key != f"{context.saga_id}:{context.step}"
        return trip.scripts.get(f"{context.step} undo" if undoing else context.step, "ok")


ASK = Retry(attempts=3, delay=0.3, max_delay=2.0)
UNDO = Retry(attempts=8, delay=0.3, max_delay=2.0)
trip_saga = Saga("trip", input=Trip, timeout=timedelta(seconds=20), key=lambda trip: trip.trip_id)

with trip_saga.parallel():

    @trip_saga.step(retry=ASK, timeout=2)
    async def book_flight(trip: Trip, agency: Agency, ctx: StepContext) -> Flight:
        await agency.ask(trip, ctx)
        return Flight("window")

    @trip_saga.step(retry=ASK, timeout=2)
    def book_hotel(trip: Trip, agency: Agency, ctx: StepContext) -> Hotel:
        agency.ask_here(trip, ctx)
        return Hotel("quiet")

    @trip_saga.step(retry=ASK, timeout=2, when=lambda trip: trip.wants_car)
    async def book_car(trip: Trip, agency: Agency, ctx: StepContext) -> Car:
        await agency.ask(trip, ctx)
        return Car("small")


@trip_saga.step(retry=ASK, timeout=2, compensation=None)
async def check_visa(trip: Trip, agency: Agency, flight: Flight, ctx: StepContext) -> Visa:
    return Visa(flight.what)


@trip_saga.step(retry=ASK, timeout=2, pivot=True)
async def pay(trip: Trip, agency: Agency, ctx: StepContext) -> Paid:
    await agency.ask(trip, ctx)
    return Paid("all")


with trip_saga.parallel():

    @trip_saga.step(retry=UNDO, timeout=2)
    async def issue_tickets(trip: Trip, agency: Agency, car: Car | None, ctx: StepContext) -> None:
        await agency.ask(trip, ctx)

    @trip_saga.step(retry=UNDO, timeout=2, when=lambda trip: trip.wants_mail)
    def send_mail(trip: Trip, agency: Agency, ctx: StepContext) -> None:
        agency.ask_here(trip, ctx)


@book_flight.compensate(retry=UNDO, timeout=2)
async def cancel_flight(flight: Flight | None, trip: Trip, agency: Agency, ctx: StepContext) -> None:
    await agency.ask(trip, ctx)


@book_hotel.compensate(retry=UNDO, timeout=2)
def cancel_hotel(hotel: Hotel | None, trip: Trip, agency: Agency, ctx: StepContext) -> None:
    agency.ask_here(trip, ctx)


@book_car.compensate(retry=UNDO, timeout=2)
async def cancel_car(car: Car, trip: Trip, agency: Agency, ctx: StepContext) -> None:
    """Fail to undo what nobody knows to be done: an unknown outcome makes the saga stuck."""
    await agency.ask(trip, ctx)


@pay.compensate(retry=UNDO, timeout=2)
async def pay_back(paid: Paid | None, trip: Trip, agency: Agency, ctx: StepContext) -> None:
    await agency.ask(trip, ctx)


def trip_services(world: World) -> Mapping[type, object]:
    return {Agency: Agency(world)}
