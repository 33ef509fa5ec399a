"""The PostgreSQL server is killed under load: nothing acknowledged is lost, and workers go on by themselves."""

from pathlib import Path
from signal import SIGTERM

import pytest
from servers.postgres_server import PostgresServer
from torture.run import SETTINGS, SETTLE_SECONDS
from torture.stage import Stage, a_database, wait_until

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.postgres]

SERVER_KILLS = 5


def test_workers_go_on_by_themselves_after_each_death_of_the_server(
    tmp_path: Path, mortal_server: PostgresServer
) -> None:
    """Invariants 5, 15, 33 and 35: no process is started again, whatever it was in the middle of."""
    with a_database(tmp_path, mortal_server) as database, Stage(database, tmp_path, SETTINGS) as stage:
        stage.start_orders(0)
        workers = [stage.worker(name, slow=0.01, patient=True) for name in ("first", "second")]
        clients = [stage.client("client-0"), stage.client("client-1", stride=2)]
        for _ in range(SERVER_KILLS):
            before = _events(stage)
            wait_until(lambda before=before: _events(stage) > before + 100, SETTLE_SECONDS)  # type: ignore[misc]
            assert _events(stage) > before + 100, stage.log.read_text(encoding="utf-8")[-2000:]
            mortal_server.kill()
            mortal_server.start()
        for pid in clients:
            stage.processes.signal(pid, SIGTERM)
            assert stage.processes.wait(pid, SETTLE_SECONDS) == 0
        stage.at_rest(SETTLE_SECONDS)
        for pid in workers:
            stage.processes.signal(pid, SIGTERM)
            assert stage.processes.wait(pid, SETTLE_SECONDS) == 0
        assert not stage.violations(stage.snapshot_at_rest(SETTLE_SECONDS), stage.journals())
        assert len(stage.snapshot().statuses) > 50


def _events(stage: Stage) -> int:
    return stage.number("events")
