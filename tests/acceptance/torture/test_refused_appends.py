"""A database refuses what some sagas write for as long as it takes: they are stuck with its words, and can go on."""

from pathlib import Path
from random import Random

import pytest
from servers.postgres_server import PostgresServer
from torture import blows as torture_blows
from torture.run import VOYAGES_SETTLE_SECONDS, everything_staged
from torture.scene import Scene
from torture.stage import wait_until

pytestmark = [pytest.mark.crash, pytest.mark.slow]

SECONDS = 40.0
# What is refused is taken for good after some seconds, and each look at it takes its turn on a busy machine.
LONG_REFUSED_SECONDS = 120.0


def refuses(scene: Scene) -> bool:
    """Plant the trigger; False if a busy file does not let us, and it is to be tried again."""
    try:
        (torture_blows.file_refuses if scene.server is None else torture_blows.server_refuses)(scene)
    except ConnectionError:
        return False
    return True


def test_what_a_database_refuses_for_long_is_stuck_with_its_reason_and_goes_on_once_resumed(
    tmp_path: Path, server: PostgresServer | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is killed here: a worker that is hardly lives for as long as the database is tried in vain."""
    monkeypatch.setattr(torture_blows, "SQLITE_WHICH", ("{saga} GLOB '*[0-7]'",))
    monkeypatch.setattr(torture_blows, "SQLITE_HOW", ("RAISE(ABORT, 'planted refusal')",))
    monkeypatch.setattr(torture_blows, "POSTGRES_WHICH", ("saga ~ '[0-7]$'",))
    monkeypatch.setattr(torture_blows, "POSTGRES_HOW", ("23514", "54000", "P0001"))
    with everything_staged(tmp_path, server) as (stage, proxy):
        scene = Scene(stage, Random(1), server, proxy)
        wait_until(lambda: stage.number("events") > 100, SECONDS)
        wait_until(lambda: refuses(scene), SECONDS)
        wait_until(lambda: stage.number("refused") >= 3, LONG_REFUSED_SECONDS)
        refused = stage.number("refused")
        scene.calm()
        scene.end(scene.clients)
        scene.settle(VOYAGES_SETTLE_SECONDS)
        journals = stage.journals()
        assert refused >= 3
        assert len(journals.mended) >= 3
        assert not scene.problems
        assert not stage.violations(stage.snapshot(), journals)
