"""A broker and the service behind it are killed while orders go through: each ends, and each effect was made once."""

from pathlib import Path

import pytest
from broker_run import broker_run
from nats_server import NatsServer

pytestmark = [pytest.mark.crash, pytest.mark.nats, pytest.mark.slow]


def test_two_thousand_orders_go_through_a_broker_killed_twenty_times(tmp_path: Path, nats_server: NatsServer) -> None:
    """Invariants 3, 5, 6, 7, 15, 21, 22 and 23, over two processes with a database each."""
    report = broker_run(tmp_path, nats_server, orders=2_000, broker_kills=20, payments_kills=5)
    print(report)
    assert not report.violations, "\n".join([str(report), *report.violations[:20]])
    assert sum(report.statuses.values()) == 2_000
    assert (report.broker_kills, report.payments_kills) == (20, 5)
