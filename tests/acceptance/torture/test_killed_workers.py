"""Workers are killed, and worse, at any moment while two of them race on one database: what must hold holds after."""

from pathlib import Path
from random import SystemRandom

import pytest
from servers.postgres_server import PostgresServer
from torture.blows import EVERYTHING
from torture.run import Report, repeating, torture, torture_everything

pytestmark = [pytest.mark.crash, pytest.mark.slow]


def run(
    folder: Path,
    kills: int,
    sagas: int,
    server: PostgresServer | None = None,
    server_kills: int = 0,
    everything: bool = False,
) -> Report:
    """Run a seed of its own and say what repeats it if anything was wrong."""
    seed = SystemRandom().randrange(10**6)
    if everything:
        report = torture_everything(folder, seed, kills, server, server_kills, EVERYTHING, sagas)
    else:
        report = torture(folder, seed, kills, server, server_kills, sagas)
    print(report)
    repeat = repeating(report.store, seed, kills, not everything, "")
    assert not report.violations, "\n".join([str(report), *report.violations[:20], f"repeat it: {repeat}"])
    return report


def test_sqlite_workers_killed_two_hundred_times_lose_and_repeat_nothing(tmp_path: Path) -> None:
    """Invariants 1, 2, 5, 7, 10, 15, 16, 24, 33, 35 and 48."""
    report = run(tmp_path, kills=200, sagas=200)
    assert report.kills >= 200
    assert report.sagas >= 200
    assert report.takeovers > 100


@pytest.mark.postgres
def test_postgres_workers_killed_sixty_times_lose_and_repeat_nothing(
    tmp_path: Path, mortal_server: PostgresServer
) -> None:
    """Invariants 1, 2, 5, 7, 10, 15, 16, 24, 33, 35 and 48, with two kills of the server among those of the workers."""
    report = run(tmp_path, kills=60, sagas=60, server=mortal_server, server_kills=2)
    assert report.kills >= 60
    assert report.server_kills == 2
    assert report.sagas >= 60
    assert report.takeovers > 30


def test_sqlite_sagas_of_every_kind_survive_whatever_befalls_their_workers_and_their_file(tmp_path: Path) -> None:
    """Beside locks and wrong clocks; invariants 1, 2, 3, 4, 5, 6, 7, 10, 15, 16, 17, 18, 19 and 20.

    And invariants 23, 24, 27, 28, 30, 31, 32, 33, 34, 35, 36 and 48.
    """
    report = run(tmp_path, kills=12, sagas=60, everything=True)
    assert report.kills >= 12
    assert report.sagas >= 60
    assert len(report.blows) > 4


@pytest.mark.postgres
def test_postgres_sagas_of_every_kind_survive_whatever_befalls_their_workers_and_their_server(
    tmp_path: Path, mortal_server: PostgresServer
) -> None:
    """The same, and with backends ended, servers restarted, and a network that cuts, swallows, slows and loses."""
    report = run(tmp_path, kills=12, sagas=20, server=mortal_server, server_kills=1, everything=True)
    assert report.kills >= 12
    assert report.server_kills == 1
    assert report.sagas >= 20
    assert len(report.blows) > 6
