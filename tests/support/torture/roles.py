"""What a process that may be killed does: a worker that runs sagas, or a client that starts them; or a person's work.

Importing this imports all that a worker needs, and opens nothing.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import eventsourcing.sqlite
import psycopg_pool
from torture import app as torture_app
from torture.dials import Dials, WrongClock, make_files_obey
from torture.ledger import Ledger
from torture.plans import Start, is_planned_stuck, start_of
from torture.voyages import (
    CHOREOGRAPHIES,
    PARTICIPANTS,
    SAGAS,
    CargoArrived,
    Desk,
    Voyage,
    VoyageOrdered,
    hasty_saga,
    voyage_saga,
    voyage_services,
)
from torture.witness import Journal, lines, witnessed, witnessed_services

import domain
import sagalog.stores.sqlite.store
from domain.ordering.messages import Order
from sagalog.cli import main
from sagalog.errors import SagalogError, StoreError
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import Store, UnmatchedQuery
from sagalog.stores import store_for

# Loaded by name when a store is opened: a worker that is about to be killed should not spend its life on it.
LOADED = (eventsourcing.sqlite, psycopg_pool, sagalog.stores.sqlite.store, torture_app)

Orders = dict[str, Any]

LOG_FORMAT = "%(process)d %(asctime)s %(levelname)s %(name)s %(message)s"

OPEN_ENOUGH = 80
# Of sagas that have many steps, and children.
FEW_ENOUGH = 40
MEND_EVERY_SECONDS = 0.2
BATCH = 8


def work(orders: Orders) -> int:
    """Work until SIGTERM."""
    logging.basicConfig(level=orders.get("level", "WARNING"), format=LOG_FORMAT)
    # A thousand refused cards are no news.
    for name in ("sagalog.transitions", "sagalog.attempts"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    os.environ["SHOP_DB"] = orders["shop"]
    journal = Journal(Path(orders["journal"]))
    settings = Settings(**orders["settings"])
    dials = Dials(Path(orders["dials"]))
    make_files_obey(orders["database"].removeprefix("sqlite:///"), dials)
    with domain.services() as shop:
        voyages: Mapping[type, object] = voyage_services(Ledger(orders["ledger"])) if orders["voyages"] else {}
        services = witnessed_services({**shop, **voyages}, journal, orders.get("slow", 0.0))
        # What participants do is no step's action: it is the ledger that tells of it.
        services |= {kind: service for kind, service in voyages.items() if kind is Desk}
        manager = ProcessManager(
            _store(orders, journal, settings),
            services=services,
            settings=settings,
            clock=WrongClock(dials, orders["clock"], journal) if "clock" in orders else None,
            participants=PARTICIPANTS if voyages else (),
            **_declared(orders),
        )
        asyncio.run(_run(manager, orders.get("patient", False)))
    return 0


async def _run(manager: ProcessManager, patient: bool) -> None:
    if not patient:
        await manager.run()
        return
    async with _opened(manager):
        await manager.run()


def start_orders(orders: Orders) -> int:
    """Start orders until SIGTERM (or until `last`): every `stride`th number, from the first not acknowledged before."""
    logging.basicConfig(level=logging.WARNING, format=LOG_FORMAT)
    path = Path(orders["journal"])
    journal = Journal(path)
    settings = Settings(**orders["settings"])
    asyncio.run(Client(orders, _store(orders, journal, settings), settings, journal).run(_done(path)))
    return 0


class Client:
    """A client that starts orders in batches, some of them again, and notes each start that was acknowledged."""

    def __init__(self, orders: Orders, store: Store, settings: Settings, journal: Journal) -> None:
        self._stride: int = orders["stride"]
        self._last: int | None = orders.get("last")
        self._chance = Random(orders["seed"])
        self._manager = ProcessManager(store, settings=settings, worker=False, **_declared(orders))
        self._orders_only = not orders["voyages"]
        self._open_enough: int = OPEN_ENOUGH if self._orders_only else FEW_ENOUGH
        self._journal = journal
        self._stop = asyncio.Event()

    async def run(self, done: set[str]) -> None:
        """Start orders until told to stop."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop.set)
        async with _opened(self._manager) as manager:
            number = 0
            while start_of(number, self._orders_only).key in done:
                number += self._stride
            while not self._stop.is_set() and (self._last is None or number <= self._last):
                batch = list(range(number, number + BATCH * self._stride, self._stride))
                if self._last is not None:
                    batch = [one for one in batch if one <= self._last]
                again = self._chance.sample(range(0, number, self._stride), 1) if number and self._stride > 1 else []
                await asyncio.gather(*(self._start(manager, one) for one in batch + again))
                number += BATCH * self._stride
                while self._last is None and not self._stop.is_set() and await self._enough(manager):
                    await self._pause()

    async def _start(self, manager: ProcessManager, number: int) -> None:
        start = start_of(number, self._orders_only)
        await self._insist(lambda: self._begin(manager, start))
        if start.then is not None:
            # Before the saga waits for it, while it does, or after it has given up.
            await self._pause(self._chance.uniform(0.0, 0.5))
            await self._insist(lambda: self._publish(manager, start.then, f"{start.key}-cargo", start.key))
        if not self._stop.is_set():
            self._journal.write("done", start.key)

    async def _begin(self, manager: ProcessManager, start: Start) -> None:
        """Start what is to be started, and note that it was acknowledged."""
        if start.way == "told":
            event = VoyageOrdered(voyage=start.what) if isinstance(start.what, Voyage) else start.what
            await self._publish(manager, event, f"{start.key}-told", start.key)
            return
        if isinstance(start.what, Voyage):
            run = await manager.start(hasty_saga if start.hasty else voyage_saga, start.what)
        else:
            assert isinstance(start.what, Order)
            run = await manager.start(domain.sagas[0], start.what)
        self._journal.write("acknowledged", run.key, run.id, run.created)

    async def _publish(self, manager: ProcessManager, event: Any, id: str, key: str) -> None:
        await manager.publish(event, id=id)
        self._journal.write("published", id, key)

    async def _insist(self, do: Callable[[], Awaitable[None]]) -> None:
        """Do something until the store says that it was done: the same key, or the same id, again is safe."""
        while not self._stop.is_set():
            try:
                await do()
            except StoreError:
                await self._pause()
            else:
                return

    async def _enough(self, manager: ProcessManager) -> bool:
        try:
            found = await manager.find(statuses=("started", "pending", "compensating"), limit=self._open_enough)
        except StoreError:
            return True
        return len(found) >= self._open_enough

    async def _pause(self, seconds: float = 0.02) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return


@asynccontextmanager
async def _opened(manager: ProcessManager) -> AsyncGenerator[ProcessManager]:
    """Open a process manager, however long its database is away."""
    give_up = time.monotonic() + 10
    while True:
        try:
            await manager.__aenter__()
            break
        except StoreError:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(0.02)
    try:
        yield manager
    finally:
        await manager.__aexit__()


def _store(orders: Orders, journal: Journal, settings: Settings) -> Store:
    return witnessed(store_for(orders["database"], settings.store_options()), journal)


def _declared(orders: Orders) -> dict[str, Any]:
    """Return the definitions that every process of a run is given."""
    if not orders["voyages"]:
        return {"sagas": domain.sagas}
    return {"sagas": [*domain.sagas, *SAGAS], "choreographies": CHOREOGRAPHIES}


def _done(path: Path) -> set[str]:
    return {line[2] for line in lines(path) if line[0] == "done"}


def mend(orders: Orders) -> int:
    """Set going again, as a person would, what a refusal of the database has stopped, until SIGTERM."""
    logging.basicConfig(level=logging.WARNING, format=LOG_FORMAT)
    settings = Settings(**orders["settings"])
    journal = Journal(Path(orders["journal"]))
    store = _store(orders, journal, settings)
    asyncio.run(_mend(ProcessManager(store, settings=settings, worker=False, **_declared(orders)), journal))
    return 0


async def _mend(manager: ProcessManager, noted: Journal) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with _opened(manager):
        while not stop.is_set():
            with suppress(SagalogError):  # it goes on already, or the database has just been away
                await _mend_once(manager, noted)
            with suppress(TimeoutError):
                async with asyncio.timeout(MEND_EVERY_SECONDS):
                    await stop.wait()


async def _mend_once(manager: ProcessManager, noted: Journal) -> None:
    for row in await manager.find(statuses=("pending",), limit=10_000):
        if "CargoArrived" in (row.waiting_for or ""):
            # Its client was killed before it could say so, or has: then this is the same message.
            await manager.publish(CargoArrived(voyage_id=row.saga_key), id=f"{row.saga_key}-cargo")
    for row in await manager.find(statuses=("stuck",), limit=10_000):
        if not is_planned_stuck(row):
            noted.write("mended", f"saga {row.saga_name} {row.saga_key}", row.error_text or "without a reason")
            await manager.resume(row.saga_id, actor="torture", reason="the database takes it again")
    for parked in await manager.unmatched(UnmatchedQuery(limit=10_000)):
        noted.write("mended", f"message {parked.name} {parked.message_id}", parked.reason)
        await manager.redeliver(parked.unmatched_id, actor="torture", reason="the database takes it again")


def check(orders: Orders) -> int:
    """Run `sagalog check` on the database; its exit code is the process's."""
    try:
        main(["--app", "torture.app", "--db", orders["database"], "check"], "sagalog")
    except SystemExit as end:
        return int(end.code or 0)
    return 0


ROLES: dict[str, Callable[[Orders], int]] = {"work": work, "start": start_orders, "mend": mend, "check": check}
