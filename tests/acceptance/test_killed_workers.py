"""Workers are killed at any moment while two of them race on one database: what must hold holds after it."""

from pathlib import Path
from random import SystemRandom

import pytest
from postgres_server import PostgresServer
from torture_run import Report, torture

pytestmark = [pytest.mark.crash, pytest.mark.slow]


def run(folder: Path, kills: int, server: PostgresServer | None = None, server_kills: int = 0) -> Report:
    """Run a seed of its own and say what repeats it if anything was wrong."""
    seed = SystemRandom().randrange(10**6)
    report = torture(folder, seed, kills, server, server_kills)
    print(report)
    assert not report.violations, "\n".join(
        [
            str(report),
            *report.violations[:20],
            f"repeat it: python tests/acceptance/torture.py --store {report.store} --seed {seed} --kills {kills}",
        ]
    )
    return report


def test_sqlite_workers_killed_two_hundred_times_lose_and_repeat_nothing(tmp_path: Path) -> None:
    """Invariants 1, 2, 5, 7, 10, 15, 16, 24, 33, 35, 48."""
    report = run(tmp_path, kills=200)
    assert report.kills >= 200
    assert report.sagas > 200
    assert report.takeovers > 100


@pytest.mark.postgres
def test_postgres_workers_killed_sixty_times_lose_and_repeat_nothing(
    tmp_path: Path, mortal_server: PostgresServer
) -> None:
    """Invariants 1, 2, 5, 7, 10, 15, 16, 24, 33, 35, 48, with two kills of the server among those of the workers."""
    report = run(tmp_path, kills=60, server=mortal_server, server_kills=2)
    assert report.kills >= 60
    assert report.server_kills == 2
    assert report.takeovers > 30
