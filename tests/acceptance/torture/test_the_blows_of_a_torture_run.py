"""The blows of a torture run are felt, and are over once they are turned back: one that does nothing proves nothing."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from random import Random

import pytest
from msgspec import Raw
from servers.postgres_server import PostgresServer
from torture.blows import EVERYTHING, hook
from torture.dials import CLOCKS, Dials, WrongClock, make_files_obey
from torture.scene import Scene
from torture.stage import Stage, a_database
from torture.witness import Journal, lines

from sagalog.clock import SystemClock
from sagalog.errors import StoreError, StoreReadOnly, StoreUnavailable, WriteRefused
from sagalog.messages import Envelope
from sagalog.store import Posting, Store, StoreOptions
from sagalog.stores import store_for

pytestmark = pytest.mark.crash

IMPATIENT = StoreOptions(statement_timeout=0.5)
NUMBERS = count()


class Scenery(Scene):
    """What is struck, with nobody at work on it."""

    def __init__(self, stage: Stage, server: PostgresServer | None) -> None:
        self.stage = stage
        self.server = server
        self.proxy = None
        self.chance = Random(1)
        self.workers = []
        self._turned = []


@pytest.fixture
def scene(tmp_path: Path, server: PostgresServer | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A database of each kind that is ready to be struck."""
    monkeypatch.setattr(sqlite3, "connect", sqlite3.connect)
    with ExitStack() as stack:
        database = stack.enter_context(a_database(tmp_path, server))
        make_files_obey(database.removeprefix("sqlite:///"), Dials(tmp_path / "dials"))
        store = store_for(database)
        store.open()
        store.close()
        hook(database)
        scene = Scenery(stack.enter_context(Stage(database, tmp_path, {})), server)
        yield scene
        scene.calm()


def strike(scene: Scene, name: str) -> None:
    """Strike with the blow of that name that is for this store."""
    kind = "sqlite" if scene.server is None else "postgres"
    next(blow for blow in EVERYTHING if blow.name == name and kind in blow.weights).strike(scene)


def write(store: Store) -> StoreError | None:
    """Write a message that is new, and return what the store says against it."""
    number = next(NUMBERS)
    envelope = Envelope(
        id=f"m-{number}", kind="event", name="N", source="test", correlation_id="c", time=number, data=Raw(b"{}")
    )
    try:
        store.post([Posting(messages=(envelope,))])
    except StoreError as problem:
        return problem
    return None


@pytest.mark.parametrize(
    ("name", "says"), [("read-only", StoreReadOnly), ("refuse", WriteRefused), ("lock", StoreUnavailable)]
)
def test_a_blow_to_the_database_is_felt_and_over_once_it_is_turned_back(
    scene: Scene, name: str, says: type[StoreError]
) -> None:
    """By chance it may be of a table that no message is written to, or of other rows: then it strikes once more."""
    with closing(store_for(scene.stage.database, IMPATIENT)) as store:
        store.open()
        assert write(store) is None
        said: list[StoreError | None] = []
        while not any(isinstance(problem, says) for problem in said):
            assert len(said) < 100, said
            strike(scene, name)
            for _ in range(5):
                said.append(write(store))
                if isinstance(said[-1], says):
                    break
            scene.calm()
            after = [write(store) for _ in range(4)]  # connections that were ended have to be noticed
            assert after[-1] is None, after


def test_a_clock_is_as_wrong_as_its_dial_says_and_notes_it(tmp_path: Path) -> None:
    dials = Dials(tmp_path / "dials")
    clock = WrongClock(Dials(tmp_path / "dials"), CLOCKS[1], Journal(tmp_path / "journal"))
    dials[CLOCKS[1]] = 3_600_000_000
    assert clock.now() - SystemClock().now() > 3_500_000_000
    dials[CLOCKS[1]] = 0
    assert abs(clock.now() - SystemClock().now()) < 60_000_000
    assert [(line[0], line[2]) for line in lines(tmp_path / "journal")] == [("skewed", 3_600_000_000), ("skewed", 0)]
