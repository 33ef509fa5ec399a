"""A broker and the service behind it are killed while orders go through: each ends, and each effect was made once."""

import asyncio
from pathlib import Path

import pytest
from broker_run import PaymentsProcess, broker_run
from nats_server import NatsServer
from shop import Shop, order

from domain.broker import transport_of_orders
from domain.database import Database
from domain.fulfilment_remote import fulfil_order_remotely
from domain.payments.service import Payments
from sagalog.process_manager import ProcessManager

pytestmark = [pytest.mark.crash, pytest.mark.nats, pytest.mark.slow]


def test_two_thousand_orders_go_through_a_broker_killed_twenty_times(tmp_path: Path, nats_server: NatsServer) -> None:
    """Invariants 3, 5, 6, 7, 15, 21, 22 and 23, over two processes with a database each."""
    report = broker_run(tmp_path, nats_server, orders=2_000, broker_kills=20, payments_kills=5)
    print(report)
    assert not report.violations, "\n".join([str(report), *report.violations[:20]])
    assert sum(report.statuses.values()) == 2_000
    assert (report.broker_kills, report.payments_kills) == (20, 5)


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
