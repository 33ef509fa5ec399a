"""What a journal says of who had a saga, and when, though its process stood still in between or lost a reply."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from torture.checks import one_owner_at_a_time
from torture.journals import Journals
from torture.snapshot import Snapshot
from torture.witness import Journal, witnessed

from sagalog.store import Append, Store
from sagalog.stores.sqlite.store import SQLiteStore
from sagalog.testing.contracts.store.samples import DEFINITION, NOW, SECOND, following, lease, start

END = NOW + 10 * SECOND


class Standing:
    """A store that has done something, and something else happens before it says so."""

    def __init__(self, store: Store, meanwhile: Callable[[], None]) -> None:
        self._store = store
        self._meanwhile = meanwhile

    def append(self, appends: list[Append]) -> list[str]:
        outcomes = self._store.append(appends)
        self._meanwhile()
        return list(outcomes)


class Scene:
    """A worker that begins a saga and another that takes it over, both of them witnessed, on one database."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.store = store
        self.store.register(lease("first", END))
        self.store.register(lease("second", END + 60 * SECOND))
        self.second = witnessed(self.store, Journal(folder / "second.journal"))
        self.saga = start(owner="first")

    def first(self, meanwhile: Callable[[], None]) -> Store:
        """Return the store as the first worker has it: before that is told of what it wrote, something happens."""
        return witnessed(Standing(self.store, meanwhile), Journal(self.folder / "first.journal"))  # type: ignore[arg-type]

    def take_over(self) -> None:
        """Let the second worker find the lease of the first over, and take the saga."""
        self.store.free(END)
        assert [row.saga_id for row in self.second.claim("second", [DEFINITION], END, 9)] == [self.saga.saga_id]

    def violations(self) -> list[str]:
        """Return what is said of who had the saga, of all that is in the log by now."""
        events = self.store.read_log(0, 99)
        assert len(events) == 2
        return list(one_owner_at_a_time(Snapshot(events, {}, {}, []), Journals(self.folder)))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    store = SQLiteStore(str(tmp_path / "sagas.db"))
    store.open()
    yield Scene(tmp_path, store)
    store.close()


def test_a_worker_that_stands_still_after_a_start_may_lose_it(scene: Scene) -> None:
    scene.first(scene.take_over).append([scene.saga])
    scene.second.append([following(scene.saga, holder="second")])
    assert scene.violations() == []


def test_a_worker_whose_reply_is_lost_may_lose_the_saga_before_it_is_told(scene: Scene) -> None:
    told: list[str] = []

    def lose() -> None:
        if not told:
            told.append("the reply is lost")
            scene.take_over()
            raise ConnectionError(told[0])

    first = scene.first(lose)
    with pytest.raises(ConnectionError):
        first.append([scene.saga])
    assert first.append([scene.saga]) == ["written"]
    scene.second.append([following(scene.saga, holder="second")])
    assert scene.violations() == []


def test_a_saga_that_is_written_to_after_another_has_taken_it_is_found(scene: Scene) -> None:
    """The same two, but the first one goes on with what is not its own any more."""
    first = scene.first(lambda: None)
    first.append([scene.saga])
    scene.take_over()
    # As a store without a fence would have it: the saga is still the first one's.
    scene.store.release("second", [scene.saga.saga_id])
    scene.store.claim("first", [DEFINITION], END, 9)
    first.append([following(scene.saga, holder="first")])
    [violation] = scene.violations()
    assert "first appended event 2 after second had taken it" in violation
