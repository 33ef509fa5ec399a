"""A process with all that the library has, in which a handler cancels every task of the event loop; no test.

Whatever a handler has done to its end is known to the process: it must not be done again.
"""

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from followed.bookshop import Bookshop, Order
from msgspec import Struct

from sagalog import Command, Event, MessageContext, Participant, Refused, Retry, Saga, StepContext
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import Store

SETTINGS = Settings(poll=0.02, grace=5, follow_poll=0.02)
AGAIN = Retry(attempts=200, delay=0.01, factor=1.0)
LONGEST = 60.0


class Placed(Event):
    number: int


class Book(Command):
    number: int


class Booked(Event):
    number: int


class Boarded(Event):
    number: int


class Voyage(Struct, frozen=True):
    number: int
    bags: tuple[str, ...] = ("a", "b")

    @property
    def is_refused(self) -> bool:
        """Tell whether its last step is refused, so that all is undone."""
        return self.number % 3 == 0


class Cabin(Struct, frozen=True):
    number: int


class Storm(Struct, frozen=True):
    """How often everything is cancelled, and the longest pause before."""

    strikes: int
    pause: float


def placed(happened: Order.Placed) -> Placed:
    return Placed(number=happened.number)


class Ledger:
    """What was done, and what was done once more although it had been done to its end."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []
        self.twice: list[tuple[str, str]] = []

    def begin(self, what: str, key: str) -> None:
        if (what, key) in self.done:
            self.twice.append((what, key))

    def end(self, what: str, key: str) -> None:
        self.done.append((what, key))

    async def act(self, what: str, key: str) -> None:
        self.begin(what, key)
        await asyncio.sleep(0.002)
        self.end(what, key)


def cabins() -> Saga[Cabin]:
    """Declare the saga that is a step of a voyage."""
    cabin = Saga("cabin", input=Cabin, timeout=None)

    @cabin.step(retry=AGAIN)
    async def prepare(given: Cabin, ledger: Ledger, ctx: StepContext) -> str:
        await ledger.act("prepare", ctx.idempotency_key)
        return "ready"

    @prepare.compensate(retry=AGAIN)
    async def leave_alone(_: str | None, ledger: Ledger, ctx: StepContext) -> None:
        await ledger.act("leave_alone", ctx.idempotency_key)

    return cabin


def voyages() -> tuple[Saga[Voyage], Saga[Cabin]]:
    """Declare a saga with a plain step, one for each element, a child, a request and a wait; and the child."""
    cabin = cabins()
    voyage = Saga("voyage", input=Voyage, key=lambda one: str(one.number), timeout=None)
    voyage.started_by(Placed, input=lambda event: Voyage(event.number), key=lambda event: str(event.number))

    @voyage.step(retry=AGAIN)
    def pay(given: Voyage, ledger: Ledger, ctx: StepContext) -> int:
        ledger.begin("pay", ctx.idempotency_key)
        time.sleep(0.002)
        ledger.end("pay", ctx.idempotency_key)
        return given.number

    @pay.compensate(retry=AGAIN)
    async def refund(_: int | None, ledger: Ledger, ctx: StepContext) -> None:
        await ledger.act("refund", ctx.idempotency_key)

    @voyage.step(for_each=lambda one: one.bags, at_once=2, retry=AGAIN)
    async def load(bag: str, ledger: Ledger, ctx: StepContext) -> str:
        await ledger.act("load", ctx.idempotency_key)
        return bag

    @load.compensate(retry=AGAIN)
    async def unload(_: str | None, ledger: Ledger, ctx: StepContext) -> None:
        await ledger.act("unload", ctx.idempotency_key)

    voyage.child(cabin, input=lambda one: Cabin(one.number), name="make_up")

    @voyage.request(Booked, retry=AGAIN, compensation=None, timeout=LONGEST)
    def book(given: Voyage) -> Book:
        return Book(number=given.number)

    voyage.wait_for(Boarded, key=lambda event: str(event.number), timeout=LONGEST)

    @voyage.step(compensation=None, retry=AGAIN)
    async def depart(given: Voyage, ledger: Ledger, ctx: StepContext) -> None:
        await ledger.act("depart", ctx.idempotency_key)
        if given.is_refused:
            raise Refused("the weather")

    assert book.name == "book"
    return voyage, cabin


def quay() -> Participant:
    """Return who books a voyage, and lets people on board once it is booked."""
    desk = Participant("quay", retry=AGAIN)

    @desk.handles
    async def book(command: Book, ledger: Ledger, ctx: MessageContext) -> Booked:
        await ledger.act("booked", ctx.message_id)
        return Booked(number=command.number)

    @desk.on
    async def board(event: Booked, ledger: Ledger, ctx: MessageContext) -> Boarded:
        await ledger.act("boarded", ctx.message_id)
        return Boarded(number=event.number)

    assert (book.__name__, board.__name__) == ("book", "board")
    return desk


def storms(seed: int) -> Saga[Storm]:
    """Return a saga whose step cancels every task at random moments, until it has done so as often as it should."""
    storm = Saga("storm", input=Storm, key=lambda _: "storm", timeout=None)
    seeded = random.Random(seed)
    struck: list[float] = []

    @storm.step(compensation=None, retry=Retry(attempts=10_000, delay=0.001, factor=1.0), timeout=None)
    async def strike(given: Storm) -> int:
        while len(struck) < given.strikes:
            await asyncio.sleep(seeded.random() * given.pause)
            struck.append(time.monotonic())
            for task in asyncio.all_tasks():
                task.cancel()
            await asyncio.sleep(0)
        return len(struck)

    assert strike.name == "strike"
    return storm


@contextmanager
def served(manager: ProcessManager) -> Generator[asyncio.AbstractEventLoop]:
    """Run a process manager on a loop of its own, in a thread, whose first task goes on whoever cancels it."""
    stop, begun = threading.Event(), threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        async with manager:
            loops.append(asyncio.get_running_loop())
            begun.set()
            while not stop.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.005)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert begun.wait(LONGEST)
    try:
        yield loops[0]
    finally:
        stop.set()
        thread.join(LONGEST)
        assert not thread.is_alive()


def until(condition: Callable[[], bool], what: Callable[[], object]) -> None:
    """Wait until something is so; it fails with what there is instead."""
    over = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < over, what()
        time.sleep(0.01)


def process(store: Store, application: Bookshop, ledger: Ledger, seed: int) -> tuple[ProcessManager, Saga[Storm]]:
    """Return a process manager that begins a voyage for each order of an application, and the storm."""
    storm = storms(seed)
    manager = ProcessManager(
        store, sagas=[*voyages(), storm], participants=[quay()], services={Ledger: ledger}, settings=SETTINGS
    )
    manager.follow(application, {Order.Placed: placed})
    return manager, storm
