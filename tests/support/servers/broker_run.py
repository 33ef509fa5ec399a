"""Orders whose payments are a second process behind a broker; broker and process are killed while they go through.

Who is killed when is said in orders that have ended, not in time, so that every blow falls into the middle of work.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter, deque
from pathlib import Path
from typing import Self

import msgspec
from pages.command_line import ROOT
from sagas.shop import Shop
from servers.nats_server import NatsServer
from torture.orders import end_of, order_of

from domain.broker import transport_of_orders
from domain.data import opening_stock
from domain.database import Database
from domain.fulfilment_remote import fulfil_order_remotely
from domain.payments.service import Payments
from domain.reconciliation import reconcile
from sagalog.process_manager import ProcessManager, SagaRun
from sagalog.settings import Settings

# The last blow leaves enough work for its effect to show.
LAST_BLOW = 0.9
# Longer than the request of a payment waits for its answer: whatever is lost has to be undone by then.
PATIENCE_SECONDS = 400.0


class Report(msgspec.Struct):
    """What a run did, and what did not hold."""

    orders: int
    broker_kills: int = 0
    payments_kills: int = 0
    statuses: dict[str, int] = {}
    seconds: float = 0.0
    violations: list[str] = []

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {status}" for status, count in sorted(self.statuses.items()))
        return (
            f"{self.orders} orders ({ends}), the broker killed {self.broker_kills} times and the payment service "
            f"{self.payments_kills} times, {self.seconds:.1f} s, {len(self.violations)} violations"
        )


class PaymentsProcess:
    """The payment service: `python -m domain.payments`, with a database of its own."""

    def __init__(self, folder: Path, broker: str) -> None:
        self.database = folder / "payments.db"
        self.log = folder / "payments.log"
        self._broker = broker
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it connects by itself."""
        environment = {**os.environ, "SHOP_BROKER": self._broker, "PAYMENTS_DB": str(self.database)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "domain.payments"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """End it with SIGKILL; raises `RuntimeError` if it had ended by itself."""
        assert self._process is not None
        ended = self._process.poll()
        if ended is not None:
            raise RuntimeError(f"the payment service ended by itself with exit code {ended}:\n{self.log.read_text()}")
        self._process.kill()
        self._process.wait()
        self._process = None

    def terminate(self) -> int:
        """Ask it to end, as an operator would, and return its exit code."""
        assert self._process is not None
        self._process.terminate()
        code, self._process = self._process.wait(30), None
        return code

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class BrokerRun:
    """A run of orders over a broker that is struck meanwhile."""

    def __init__(self, folder: Path, server: NatsServer, payments: PaymentsProcess, report: Report) -> None:
        self._folder = folder
        self._server = server
        self._payments = payments
        self._report = report
        self._blows: deque[tuple[int, str]] = deque()

    async def orders(self, shop: Shop) -> dict[str, str]:
        """Start every order at once, strike while they run, and return how each ended."""
        async with ProcessManager(
            f"sqlite:///{self._folder / 'sagas.db'}",
            sagas=[fulfil_order_remotely],
            services=shop.services(),
            transports=[transport_of_orders(self._server.url)],
            settings=Settings(poll=0.05),
        ) as manager:
            starts = (manager.start(fulfil_order_remotely, order_of(number)) for number in range(self._report.orders))
            runs = await asyncio.gather(*starts)
            statuses: dict[str, str] = {}
            for ended in asyncio.as_completed([_end(run) for run in runs], timeout=PATIENCE_SECONDS):
                key, status = await ended
                statuses[key] = status
                while self._blows and len(statuses) >= self._blows[0][0]:
                    await asyncio.to_thread(self._strike, self._blows.popleft()[1])
        return statuses

    def plan(self, broker_kills: int, payments_kills: int) -> None:
        """Spread the blows evenly over the orders."""
        last = self._report.orders * LAST_BLOW
        blows = [(round(last * n / broker_kills), "broker") for n in range(broker_kills)]
        blows += [(round(last * (n + 0.5) / payments_kills), "payments") for n in range(payments_kills)]
        self._blows = deque(sorted(blows))

    def _strike(self, whom: str) -> None:
        if whom == "broker":
            self._server.kill()
            self._server.start()
            self._report.broker_kills += 1
        else:
            self._payments.kill()
            self._payments.start()
            self._report.payments_kills += 1


async def _end(run: SagaRun) -> tuple[str, str]:
    result = await run.result()
    return run.key, result.status


def broker_run(folder: Path, server: NatsServer, *, orders: int, broker_kills: int, payments_kills: int) -> Report:
    """Run orders through a payment service behind a broker, and check what each of them has left behind."""
    began = time.monotonic()
    report = Report(orders)
    with Shop(folder / "shop.db") as shop, PaymentsProcess(folder, server.url) as payments:
        shop.inventory.receive_all(opening_stock())
        run = BrokerRun(folder, server, payments, report)
        run.plan(broker_kills, payments_kills)
        statuses = asyncio.run(run.orders(shop))
        with Database(payments.database) as database:
            found = reconcile(statuses, inventory=shop.inventory, payments=Payments(database), carrier=shop.carrier)
    report.violations = [str(violation) for violation in found]
    for key, status in statuses.items():
        if status != end_of(key):
            report.violations.append(f"{key} is {status}")
    report.statuses = dict(Counter(statuses.values()))
    report.seconds = time.monotonic() - began
    return report
