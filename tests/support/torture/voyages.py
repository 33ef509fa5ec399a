"""A service that uses all that the library has: sagas of every kind of step, participants, and a choreography.

What happens in a step is said by the voyage's scripts, by the name of the step; nothing here knows who is killed.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from torture.ledger import Ledger

from sagalog import (
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

# Outages last as long as a run likes: what a script does not end, an outage must not end either.
PATIENT = Retry(attempts=1000, delay=0.02, factor=1.5, max_delay=0.3)
LATE_SECONDS = 0.25


class Voyage(Struct, frozen=True, kw_only=True):
    """A voyage; `scripts` say by step (and by `step undo`) what happens there, in whichever saga it is."""

    voyage_id: str
    crates: list[int] = []
    scripts: dict[str, str] = {}


class Crate(Struct, frozen=True):
    """One of the crates of a voyage."""

    number: int
    script: str


class VoyageOrdered(Event):
    """Somebody orders a voyage by an event instead of a call."""

    voyage: Voyage


class CargoArrived(Event):
    """The cargo that a voyage waits for is there."""

    voyage_id: str


class Ask(Command):
    """A command that asks the harbour for something, to be done as the script says."""

    voyage_id: str
    script: str = "ok"


class TakeBack(Command):
    """A command that asks the harbour to undo what was asked for as `undoes`."""

    voyage_id: str
    undoes: str
    script: str = "ok"


class Done(Event):
    """The harbour has done what it was asked for."""

    voyage_id: str


class TakenBack(Event):
    """The harbour has undone what it was asked for."""

    voyage_id: str


class Denied(Event):
    """The harbour has not done what it was asked for, and never will."""

    reason: str


def play(script: str, attempt: int) -> None:
    """Do what a script says at the beginning of an attempt."""
    match script.split("-"):
        case ["refuse"]:
            raise Refused("planted: the script refuses")
        case ["fail", times] if attempt <= int(times):
            raise ConnectionError("planted: the script fails")
        case _:
            return


class Yard:
    """The service that local steps call."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def do(self, script: str, attempt: int, *, key: str) -> str:
        """Make an effect; a script "mute-2" makes it and then fails, twice."""
        play(script, attempt)
        self._ledger.do(key, key)
        if script.startswith("mute-") and attempt <= int(script.removeprefix("mute-")):
            raise ConnectionError("planted: the answer is lost")
        return key

    def undo(self, script: str, attempt: int, undoes: str, *, key: str) -> None:
        """Undo the effect that was made under the key `undoes`."""
        play(script, attempt)
        self._ledger.undo(key, undoes)


class Desk:
    """The service that participants call."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger


def _step(saga: Saga[Any], name: str, **options: Any) -> None:
    """Declare a local step with its compensation."""

    def act(given: Any, yard: Yard, ctx: StepContext) -> str:
        return yard.do(given.scripts.get(name, "ok"), ctx.attempt, key=ctx.idempotency_key)

    def undo(_: str | None, given: Any, yard: Yard, ctx: StepContext) -> None:
        script = given.scripts.get(f"{name} undo", "ok")
        yard.undo(script, ctx.attempt, ctx.action_key, key=ctx.idempotency_key)

    act.__annotations__["given"] = undo.__annotations__["given"] = saga.input
    step: Any = saga.step
    declared = step(name=name, retry=PATIENT, timeout=60, **options)(act)
    if options.get("compensation", "") is not None and not options.get("pivot"):
        declared.compensate(retry=PATIENT, timeout=60)(undo)


def _request(saga: Saga[Any], name: str, compensated: bool = True, **options: Any) -> None:
    """Declare a step that asks the harbour, with its compensation."""

    def ask(given: Any, ctx: StepContext) -> Ask:
        return Ask(voyage_id=ctx.key, script=given.scripts.get(name, "ok"))

    def take_back(_: Done | None, given: Any, ctx: StepContext) -> TakeBack:
        return TakeBack(voyage_id=ctx.key, undoes=ctx.action_key, script=given.scripts.get(f"{name} undo", "ok"))

    ask.__annotations__["given"] = take_back.__annotations__["given"] = saga.input
    request: Any = saga.request
    declared = request(Done, refused=Denied, name=name, **options)(ask)
    if compensated:
        declared.compensate(reply=TakenBack, retry=PATIENT, timeout=1.0)(take_back)


# A meal on board: a child that has a child.
shopping: Saga[Voyage] = Saga("torture-shopping", input=Voyage)
_step(shopping, "buy")

catering: Saga[Voyage] = Saga("torture-catering", input=Voyage)
_step(catering, "bake")
catering.child(shopping, input=lambda voyage: voyage, name="shop")
_request(catering, "deliver", retry=PATIENT, timeout=1.0)

cleaning: Saga[Voyage] = Saga("torture-cleaning", input=Voyage)
_step(cleaning, "sweep", compensation=None)


def _wants(what: str) -> Callable[[Voyage], bool]:
    return lambda voyage: what in voyage.scripts


def _crates(step: str) -> Callable[[Voyage], list[Crate]]:
    def crates(voyage: Voyage) -> list[Crate]:
        return [Crate(one, voyage.scripts.get(f"{step}[{one}]", "ok")) for one in voyage.crates]

    return crates


def declare(name: str, timeout: float | None = None) -> Saga[Voyage]:
    """Return the saga of a voyage, which is given up after `timeout` seconds if it has not departed by then."""
    saga: Saga[Voyage] = Saga(name, input=Voyage, timeout=timeout, key=lambda voyage: voyage.voyage_id)
    _step(saga, "hold")
    _request(saga, "berth", retry=PATIENT, timeout=1.0)
    _request(saga, "tug", retry=Retry(attempts=2, delay=0.01), timeout=0.2, when=_wants("tug"))
    with saga.parallel():
        _step(saga, "paint")
        _request(saga, "inspect", timeout=600)
        saga.child(catering, input=lambda voyage: voyage, name="cater")
        _load(saga)
    _stow(saga)
    if timeout is None:
        # An event is for the sagas of all kinds that wait for it, so only one kind of voyages may.
        for waits, seconds in (("cargo", 600.0), ("race", 0.3)):
            saga.wait_for(
                CargoArrived, key=lambda event: event.voyage_id, timeout=seconds, name=waits, when=_wants(waits)
            )
    saga.sleep(0.03, name="tide")
    _step(saga, "depart", pivot=True)
    _step(saga, "announce", compensation=None)
    _request(saga, "bill", compensated=False, retry=PATIENT, timeout=1.0)
    saga.child(cleaning, input=lambda voyage: voyage, name="clean")
    return saga


def _load(saga: Saga[Voyage]) -> None:
    """Declare a local step for each crate, at once; it awaits, so that a blow finds it in the middle."""

    @saga.step(for_each=_crates("load"), at_once=True, retry=PATIENT, timeout=60)
    async def load(crate: Crate, yard: Yard, ctx: StepContext) -> str:
        return await asyncio.to_thread(yard.do, crate.script, ctx.attempt, key=ctx.idempotency_key)

    @load.compensate(retry=PATIENT, timeout=60)
    async def unload(_: str | None, yard: Yard, ctx: StepContext) -> None:
        await asyncio.to_thread(yard.undo, "ok", ctx.attempt, ctx.action_key, key=ctx.idempotency_key)

    assert unload.__name__ == "unload"


def _stow(saga: Saga[Voyage]) -> None:
    """Declare a request for each crate, one after the other."""

    @saga.request(Done, refused=Denied, for_each=_crates("stow"), retry=PATIENT, timeout=1.0)
    def stow(crate: Crate, ctx: StepContext) -> Ask:
        return Ask(voyage_id=ctx.key, script=crate.script)

    @stow.compensate(reply=TakenBack, retry=PATIENT, timeout=1.0)
    def unstow(_: Done | None, crate: Crate, ctx: StepContext) -> TakeBack:
        return TakeBack(voyage_id=ctx.key, undoes=ctx.action_key)

    assert unstow.__name__ == "unstow"


voyage_saga = declare("torture-voyage")
voyage_saga.started_by(VoyageOrdered, input=lambda event: event.voyage)
hasty_saga = declare("torture-hasty-voyage", timeout=0.6)

harbour = Participant("harbour", retry=PATIENT)


@harbour.handles
def do_it(command: Ask, desk: Desk, ctx: MessageContext) -> Done | Denied:
    """Do what is asked, or not."""
    if command.script == "refuse":
        return Denied(reason="planted: the harbour refuses")
    play(command.script, ctx.attempt)
    if command.script == "late" and ctx.attempt == 1:
        # The harbour is slow: no test's wait, but what the saga's timer races.
        time.sleep(LATE_SECONDS)
    desk.ledger.do(ctx.idempotency_key, ctx.idempotency_key)
    return Done(voyage_id=command.voyage_id)


@harbour.handles
def take_it_back(command: TakeBack, desk: Desk, ctx: MessageContext) -> TakenBack:
    """Undo what was asked for, or not."""
    play(command.script, ctx.attempt)
    desk.ledger.undo(ctx.idempotency_key, command.undoes)
    return TakenBack(voyage_id=command.voyage_id)


class TripBooked(Event):
    """A trip was booked with nobody in charge of it."""

    trip_id: str
    script: str


class SeatHeld(Event):
    """A seat is held."""

    trip_id: str
    script: str


class SeatDenied(Event):
    """There is no seat."""

    trip_id: str


class SeatGivenBack(Event):
    """The seat is not held any more."""

    trip_id: str


class TripPaid(Event):
    """The trip is paid for."""

    trip_id: str


class TripNotPaid(Event):
    """The trip is not paid for, and never will be."""

    trip_id: str


agency = Participant("agency", retry=PATIENT)
cashier = Participant("cashier", retry=PATIENT)


@agency.on
def hold_seat(event: TripBooked, desk: Desk) -> SeatHeld | SeatDenied:
    """Hold a seat."""
    if event.script == "full":
        return SeatDenied(trip_id=event.trip_id)
    desk.ledger.do(f"{event.trip_id}:seat", f"{event.trip_id}:seat")
    return SeatHeld(trip_id=event.trip_id, script=event.script)


@agency.on
def give_back(event: TripNotPaid, desk: Desk) -> SeatGivenBack:
    """Give the seat back."""
    desk.ledger.undo(f"{event.trip_id}:seat:undo", f"{event.trip_id}:seat")
    return SeatGivenBack(trip_id=event.trip_id)


@cashier.on
def take_payment(event: SeatHeld, desk: Desk) -> TripPaid | TripNotPaid:
    """Take the money."""
    if event.script == "poor":
        return TripNotPaid(trip_id=event.trip_id)
    desk.ledger.do(f"{event.trip_id}:pay", f"{event.trip_id}:pay")
    return TripPaid(trip_id=event.trip_id)


trips = Choreography(
    "torture-trip",
    key="trip_id",
    starts_with=TripBooked,
    completes_with=TripPaid,
    fails_with=(SeatDenied, SeatGivenBack),
    compensates={SeatHeld: SeatGivenBack},
    participants=[agency, cashier],
    timeout=600,
)

SAGAS: list[Saga[Any]] = [voyage_saga, hasty_saga, catering, shopping, cleaning]
PARTICIPANTS = [harbour, agency, cashier]
CHOREOGRAPHIES = [trips]


def voyage_services(ledger: Ledger) -> Mapping[type, object]:
    """Return what steps and participants ask for."""
    return {Yard: Yard(ledger), Desk: Desk(ledger)}
