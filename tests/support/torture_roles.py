"""What a process that may be killed does: a worker that runs sagas, or a client that starts them. It checks nothing.

Importing this imports all that a worker needs, and opens nothing.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import eventsourcing.sqlite
import psycopg_pool
from torture_orders import key_of, order_of
from torture_witness import Journal, lines, witnessed, witnessed_services

import domain
import sagalog.stores.sqlite
from sagalog.errors import StoreError
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import Store
from sagalog.stores import store_for

# Loaded by name when a store is opened: a worker that is about to be killed should not spend its life on it.
LOADED = (eventsourcing.sqlite, psycopg_pool, sagalog.stores.sqlite)

Orders = dict[str, Any]

LOG_FORMAT = "%(process)d %(asctime)s %(levelname)s %(name)s %(message)s"

OPEN_ENOUGH = 80
BATCH = 8


def work(orders: Orders) -> int:
    """Be a worker until SIGTERM."""
    logging.basicConfig(level=orders.get("level", "WARNING"), format=LOG_FORMAT)
    # A thousand refused cards are no news.
    logging.getLogger("sagalog.transitions").setLevel(logging.CRITICAL)
    os.environ["SHOP_DB"] = orders["shop"]
    journal = Journal(Path(orders["journal"]))
    settings = Settings(**orders["settings"])
    with domain.services() as services:
        manager = ProcessManager(
            _store(orders, journal, settings),
            sagas=domain.sagas,
            services=witnessed_services(services, journal, orders.get("slow", 0.0)),
            settings=settings,
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
    asyncio.run(Client(orders, _store(orders, journal, settings), settings, journal).run(_acknowledged(path)))
    return 0


class Client:
    """Start orders in batches, some of them again, and note each start that was acknowledged."""

    def __init__(self, orders: Orders, store: Store, settings: Settings, journal: Journal) -> None:
        self._stride: int = orders["stride"]
        self._last: int | None = orders.get("last")
        self._chance = Random(orders["seed"])
        self._manager = ProcessManager(store, sagas=domain.sagas, settings=settings, worker=False)
        self._journal = journal
        self._stop = asyncio.Event()

    async def run(self, acknowledged: set[str]) -> None:
        """Start orders until told to stop."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop.set)
        async with _opened(self._manager) as manager:
            number = 0
            while key_of(number) in acknowledged:
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
        order = order_of(number)
        while not self._stop.is_set():
            try:
                run = await manager.start(domain.sagas[0], order)
            except StoreError:
                # Nobody knows whether it was started: the same key again is safe, which is what is to be shown.
                await self._pause()
            else:
                self._journal.write("acknowledged", run.key, run.id, run.created)
                return

    async def _enough(self, manager: ProcessManager) -> bool:
        try:
            found = await manager.find(statuses=("started", "pending", "compensating"), limit=OPEN_ENOUGH)
        except StoreError:
            return True
        return len(found) >= OPEN_ENOUGH

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(0.02):
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


def _acknowledged(path: Path) -> set[str]:
    return {line[2] for line in lines(path) if line[0] == "acknowledged"}


ROLES: dict[str, Callable[[Orders], int]] = {"work": work, "start": start_orders}
