"""A saga that speaks by messages only: started by an event, asking two services, waiting for an event and for time.

One service is a participant in the processes themselves, the other stands behind a network. Which of them refuses,
keeps silent or answers too late is told by the input.
"""

from collections.abc import Mapping
from datetime import timedelta

from msgspec import Struct, json

from sagalog import Command, Event, MessageContext, Participant, Refused, Retry, Saga, StepContext
from sagalog.messages import Envelope
from sagalog.testing.recording_service import RecordingService as Store
from sagalog.testing.simulation.network import Ask, Network, RemoteService
from sagalog.testing.simulation.world import World


class ParcelOrdered(Event):
    parcel_id: str
    scripts: dict[str, str]


class ParcelPacked(Event):
    parcel_id: str


class SetAside(Command):
    parcel_id: str
    script: str


class SetAsideDone(Event):
    parcel_id: str


class PutBack(Command):
    parcel_id: str
    undoes: str


class PutBackDone(Event):
    parcel_id: str


class Charge(Command):
    parcel_id: str
    script: str


class Charged(Event):
    parcel_id: str


class Declined(Event):
    parcel_id: str


class Refund(Command):
    parcel_id: str
    undoes: str


class Refunded(Event):
    parcel_id: str


class Dispatch(Command):
    parcel_id: str
    script: str


class Dispatched(Event):
    parcel_id: str


class Parcel(Struct, frozen=True):
    """The saga's input; `scripts` tells by step how it goes."""

    parcel_id: str
    scripts: dict[str, str] = {}

    def script(self, step: str) -> str:
        return self.scripts.get(step, "ok")


class Shelf:
    """The service of the participant in process, behind a call over the network."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.store = Store()


parcel_saga = Saga("parcel", input=Parcel, timeout=timedelta(seconds=60), key=lambda parcel: parcel.parcel_id)
parcel_saga.started_by(ParcelOrdered, input=lambda event: Parcel(event.parcel_id, event.scripts))

with parcel_saga.parallel():

    @parcel_saga.request(SetAsideDone, timeout=4)
    def set_aside(parcel: Parcel) -> SetAside:
        return SetAside(parcel_id=parcel.parcel_id, script=parcel.script("set_aside"))

    @parcel_saga.request(Charged, refused=Declined, timeout=4, retry=Retry(attempts=2, delay=0.3))
    async def charge(parcel: Parcel) -> Charge:
        return Charge(parcel_id=parcel.parcel_id, script=parcel.script("charge"))


@set_aside.compensate(timeout=4, retry=Retry(attempts=8, delay=0.3, max_delay=2.0))
def put_back(done: SetAsideDone | None, parcel: Parcel, ctx: StepContext) -> PutBack:
    return PutBack(parcel_id=parcel.parcel_id, undoes=ctx.action_key)


@charge.compensate(reply=Refunded, timeout=4, retry=Retry(attempts=8, delay=0.3, max_delay=2.0))
async def refund(charged: Charged | None, parcel: Parcel, ctx: StepContext) -> Refund:
    return Refund(parcel_id=parcel.parcel_id, undoes=ctx.action_key)


parcel_saga.wait_for(ParcelPacked, key=lambda event: event.parcel_id, timeout=8)
parcel_saga.sleep(1.5)


@parcel_saga.request(Dispatched, timeout=3, pivot=True, compensation=None, retry=Retry(attempts=4, delay=0.3))
def dispatch(parcel: Parcel) -> Dispatch:
    return Dispatch(parcel_id=parcel.parcel_id, script=parcel.script("dispatch"))


shelf = Participant("shelf", retry=Retry(attempts=6, delay=0.2, max_delay=1.0), timeout=3)


@shelf.handles(SetAside)
async def take_from_shelf(command: SetAside, service: Shelf, ctx: MessageContext) -> SetAsideDone:
    def act() -> None:
        if command.script == "refused":
            raise Refused("not on the shelf")
        service.store.perform(ctx.message_id)

    await service.world.call(ctx, act)
    return SetAsideDone(parcel_id=command.parcel_id)


@shelf.handles(PutBack)
async def put_on_shelf(command: PutBack, service: Shelf, ctx: MessageContext) -> PutBackDone | None:
    await service.world.call(ctx, lambda: service.store.undo(command.undoes))
    return PutBackDone(parcel_id=command.parcel_id)


def bank(world: World, slowest: float, copies: int) -> Network:
    """Return the network behind which the bank and the carrier stand; what is slow takes up to so many seconds."""

    def script(envelope: Envelope) -> str:
        return str(json.decode(envelope.data).get("script", "ok"))

    asks: Mapping[type[Command], Ask] = {
        Charge: Ask(
            lambda command: Charged(parcel_id=_parcel_of(command)),
            lambda command: Declined(parcel_id=_parcel_of(command)),
        ),
        Refund: Ask(
            lambda command: Refunded(parcel_id=_parcel_of(command)),
            undoes=lambda command: str(getattr(command, "undoes", "")),
        ),
        Dispatch: Ask(
            lambda command: Dispatched(parcel_id=_parcel_of(command)),
            lambda command: Declined(parcel_id=_parcel_of(command)),
        ),
    }
    return Network(world, RemoteService(asks, script), slowest=slowest, copies=copies)


def _parcel_of(command: Command) -> str:
    return str(getattr(command, "parcel_id", ""))
