"""A saga that sends a parcel by command, lets time pass and waits for its arrival, and who takes part; no test."""

from typing import Any

from lab.lab import Lab, Process
from msgspec import Struct

from sagalog import Command, Event, Participant, Retry, Saga, StepContext
from sagalog.store import StatusRow


class Parcel(Struct, frozen=True):
    parcel_id: str


class Announced(Event):
    parcel_id: str


class Collect(Command):
    parcel_id: str


class Collected(Event):
    parcel_id: str


class TakeBack(Command):
    parcel_id: str


class TakenBack(Event):
    parcel_id: str


class Arrived(Event):
    parcel_id: str
    weight: int = 1


class Post:
    """The saga, the carrier, and what was done."""

    def __init__(self, *, after_end: Any = "reject", pivot: bool = False, retry: Retry | None = None) -> None:
        self.done: list[str] = []
        self.ids: list[str] = []
        self.mended = True
        self.saga = saga = Saga("post", input=Parcel, key=lambda parcel: parcel.parcel_id, after_end=after_end)
        saga.started_by(Announced, input=lambda event: Parcel(event.parcel_id))

        @saga.step(compensation=None)
        def pack(parcel: Parcel, ctx: StepContext) -> str:
            if not self.mended:
                raise TypeError("the program is mistaken")
            self.done.append("pack")
            return ctx.idempotency_key

        @saga.request(Collected, timeout=10, pivot=pivot, retry=retry or Retry(attempts=1))
        def collect(parcel: Parcel, ctx: StepContext) -> Collect:
            self.ids.append(ctx.idempotency_key)
            return Collect(parcel_id=parcel.parcel_id)

        if not pivot:

            def take_back(collected: Collected | None, parcel: Parcel) -> TakeBack:
                return TakeBack(parcel_id=parcel.parcel_id)

            collect.compensate(reply=TakenBack)(take_back)
        saga.sleep(20, name="travel")
        saga.wait_for(Arrived, key=lambda arrived: arrived.parcel_id, timeout=40)

        @saga.step(compensation=None)
        def weigh(arrived: Arrived) -> int:
            self.done.append("weigh")
            return arrived.weight

        assert (pack.name, weigh.name) == ("pack", "weigh")
        self.carrier = Participant("carrier")

        @self.carrier.handles
        def fetch(command: Collect) -> Collected:
            self.done.append("collect")
            return Collected(parcel_id=command.parcel_id)

        @self.carrier.handles
        def bring_back(command: TakeBack) -> TakenBack:
            self.done.append("take back")
            return TakenBack(parcel_id=command.parcel_id)

        assert (fetch.__name__, bring_back.__name__) == ("fetch", "bring_back")

    async def begin(self, lab: Lab, *, carrier: bool = True) -> Process:
        """Begin a process that runs it all, or all but the carrier."""
        return await lab.begin([self.saga], participants=[self.carrier] if carrier else [])


def row_of(lab: Lab, key: str = "p-1") -> StatusRow:
    """Return where the newest run of a key stands."""
    row = lab.stores[-1].latest_run("post", key)
    assert row is not None
    return row


async def waits_for(lab: Lab, what: str, key: str = "p-1") -> StatusRow:
    """Wait until the saga waits for something."""
    await lab.until(lambda: lab.stores[-1].latest_run("post", key) is not None)
    await lab.until(lambda: row_of(lab, key).waiting_for == what)
    return row_of(lab, key)
