"""A broker and the service behind it are killed while orders go through: each ends, and each effect was made once."""

import asyncio
import json
import os
import subprocess
from pathlib import Path
from signal import SIGTERM

import pytest
from pages.command_line import ROOT, UNSET, program, sagalog
from sagas.shop import Shop, order
from servers.broker_run import PaymentsProcess, broker_run
from servers.nats_server import NatsServer
from torture.orders import end_of, order_of

from domain.broker import transport_of_orders
from domain.database import Database
from domain.fulfilment_remote import fulfil_order_remotely
from domain.payments.service import Payments
from domain.reconciliation import reconcile
from sagalog.process_manager import ProcessManager

pytestmark = [pytest.mark.crash, pytest.mark.nats, pytest.mark.slow]


def test_two_thousand_orders_go_through_a_broker_killed_twenty_times(tmp_path: Path, nats_server: NatsServer) -> None:
    """Invariants 3, 5, 6, 7, 15, 21, 22 and 23, over two processes with a database each."""
    report = broker_run(tmp_path, nats_server, orders=2_000, broker_kills=20, payments_kills=5)
    print(report)
    assert not report.violations, "\n".join([str(report), *report.violations[:20]])
    assert sum(report.statuses.values()) == 2_000
    assert (report.broker_kills, report.payments_kills) == (20, 5)


@pytest.mark.postgres
def test_the_processes_of_the_compose_file_take_orders_together(
    tmp_path: Path, nats_server: NatsServer, postgres_url: str
) -> None:
    """The very commands of docker-compose.yml: a worker, the payment service, PostgreSQL and NATS."""
    orders = [order_of(number) for number in range(12)]
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    told = {"SAGALOG_DB": postgres_url, "SHOP_DB": str(tmp_path / "shop.db"), "SHOP_BROKER": nats_server.url}
    assert sagalog("db", "upgrade", environment=told).code == 0
    words = program("--app-dir", str(ROOT), "--app", "domain", "run")
    with (
        PaymentsProcess(tmp_path, nats_server.url) as payments,
        subprocess.Popen(words, env=kept | told, stderr=subprocess.PIPE, text=True) as worker,
    ):
        try:
            lines = "".join(f"{order.model_dump_json()}\n" for order in orders)
            start = ("--app-dir", str(ROOT), "start", "order-fulfilment-remote", "--input", "-")
            assert sagalog(*start, given=lines, environment=told).code == 0
            statuses = {key: waited(key, told) for key in (order.order_id for order in orders)}
            worker.send_signal(SIGTERM)
            _, log = worker.communicate(timeout=30)
        finally:
            worker.kill()
        # The carrier of some of these orders fails, as it should: nothing else may.
        assert log.count("Traceback") == log.count("domain.shipping.service.Carrier")
    assert statuses == {order.order_id: end_of(order.order_id) for order in orders}
    with Shop(tmp_path / "shop.db") as shop, Database(payments.database) as database:
        found = reconcile(statuses, inventory=shop.inventory, payments=Payments(database), carrier=shop.carrier)
    assert found == []


def waited(key: str, environment: dict[str, str]) -> str:
    """Wait for an order on the command line, and return how it ended."""
    ran = sagalog("wait", key, "--timeout", "30s", "-o", "json", environment=environment)
    status: str = json.loads(ran.out)["status"]
    return status


def test_the_payment_service_ends_in_good_order(tmp_path: Path, nats_server: NatsServer) -> None:
    with PaymentsProcess(tmp_path, nats_server.url) as payments:
        asyncio.run(one_order(tmp_path, nats_server))
        assert payments.terminate() == 0
        assert "Traceback" not in payments.log.read_text(encoding="utf-8")
        with Database(payments.database) as database:
            assert Payments(database).balance_cents() == 100


async def one_order(folder: Path, server: NatsServer) -> None:
    with Shop() as shop:
        shop.inventory.receive("mug", 1, key="opening:mug")
        async with ProcessManager(
            f"sqlite:///{folder / 'sagas.db'}",
            sagas=[fulfil_order_remotely],
            services=shop.services(),
            transports=[transport_of_orders(server.url)],
        ) as manager:
            result = await manager.execute(fulfil_order_remotely, order("o1"), timeout=30)
            assert result.status == "completed"
        assert shop.payments.effects() == []
