"""Sagas are found by the time of their start although no index has it, whatever their ids tell."""

import itertools
import random
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import cast

import pytest
from databases.catalogs import plain
from databases.stores import migrated_database, store_of

from sagalog.clock import new_id
from sagalog.store import Append, Query, Store
from sagalog.stores import searching
from sagalog.stores.memory.store import MemoryStore
from sagalog.stores.postgres.connection import SQL as POSTGRES
from sagalog.stores.sqlite.writing import SQL as SQLITE
from sagalog.stores.times import LATEST, SLACK
from sagalog.testing.clock import FakeClock
from sagalog.testing.contracts.store.samples import NOW, SECOND, ending, start

QUERIES = 400
# How much later than their ids say sagas are started, in microseconds: near the slack, and far from it.
NEAR = [
    sign * (1000 * (SLACK + milliseconds) + more)
    for sign, milliseconds, more in itertools.product((-1, 1), (-1, 0, 1, 2), (-1, 0, 1))
]
FAR = [0, 1, -1, 999, -1000, SECOND, -SECOND, 3600 * SECOND, -90 * 86400 * SECOND]
# Times that no id can tell, or only just.
ENDS = [
    *(0, 1, -1, -NOW, -(2**63), 2**63 - 1, 1000 * LATEST),
    *(1000 * SLACK + more for more in (-1, 0, 1)),
    *(1000 * (2**48 + milliseconds) for milliseconds in (-SLACK - 1, -1, 0, 1)),
]


class _At(FakeClock):
    """A clock that shows one time, which is whatever a test gives."""

    def __init__(self, at: int, seed: int) -> None:
        super().__init__(seed=seed)
        self._now = at


def sagas(generator: random.Random, odd: bool) -> list[Append]:
    """Return sagas whose ids tell the time of their start, or nearly; if `odd`, also some whose ids tell another."""
    later = [*NEAR, *FAR] if odd else [one for one in (*NEAR, *FAR) if abs(one) <= 1000 * (SLACK - 1)]
    made = [NOW + number * SECOND for number in range(3 * len(later))]
    times = [(one, one + generator.choice(later)) for one in made] + [
        (one, one + more) for one, more in zip(made, later, strict=False)
    ]
    times += [(generator.choice(made), one) for one in ENDS] if odd else []
    # Ids at the ends of time, too.
    times += (
        [(1000 * milliseconds, 1000 * milliseconds) for milliseconds in (0, 1, SLACK, LATEST, 2**48 - 1)] if odd else []
    )
    begun: list[Append] = []
    for number, (at, started_at) in enumerate(times):
        saga_id = new_id(_At(at, number))
        name = generator.choice(["orders", "orders", "rare"])
        one = start(f"k-{number}", saga=name, started_at=started_at, saga_id=saga_id)
        begun.append(Append(saga_id, 0, one.events, one.status, (), None))
    generator.shuffle(begun)
    return begun


def queries(generator: random.Random, begun: list[Append]) -> Iterator[Query]:
    edges = [0, 1, -1, 1000, -1000, *NEAR]

    def time_near() -> int | None:
        near = generator.choice(begun).status.started_at + generator.choice(edges)
        return max(0, min(near, 2**63 - 1)) if generator.random() < 0.7 else None

    while True:
        yield Query(
            saga_name=generator.choice([None, None, "orders", "rare"]),
            statuses=cast("tuple[()]", generator.choice([(), (), (), ("failed",), ("started",)])),
            error="e" if generator.random() < 0.1 else None,
            started_after=time_near(),
            started_before=time_near(),
            before=generator.choice(begun).saga_id if generator.random() < 0.2 else None,
            limit=generator.choice([1, 2, 5, 200]),
        )


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    found = migrated_database(request.param, tmp_path, request)
    assert isinstance(found, str)
    return found


@pytest.fixture
def store(database: str) -> Generator[Store]:
    found = store_of(database)
    found.open()
    yield found
    found.close()


@pytest.mark.parametrize(
    ("odd", "most"), [(False, 2_000), (True, 2_000), (True, 3)], ids=["usual", "some are odd", "many are odd"]
)
def test_no_saga_is_missed_and_none_is_too_much(
    store: Store, odd: bool, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "MOST_CANDIDATES", most)
    generator = random.Random(20261130)
    begun = sagas(generator, odd)
    ended = [ending(one, "failed", error_type="E", error_text="e") for one in begun if generator.random() < 0.4]
    memory = MemoryStore()
    for one in (memory, store):
        assert {*one.append(begun), *one.append(ended)} == {"written"}
    found_any = 0
    for query in itertools.islice(queries(generator, begun), QUERIES):
        expected = [row.saga_id for row in memory.find(query)]
        assert [row.saga_id for row in store.find(query)] == expected, query
        found_any += bool(expected)
    assert found_any > QUERIES / 5


def test_a_saga_whose_id_tells_when_it_was_started_is_in_no_index_for_that(database: str, store: Store) -> None:
    """Nobody pays for it: in the index are only those that are found in no other way."""
    begun = sagas(random.Random(1), odd=False)
    store.append(begun)
    with plain(database) as connection:
        [(number,)] = connection.execute(misdated(store)).fetchall()
        assert number == 0
        late = start(started_at=NOW + 3600 * SECOND)
        store.append([late])
        assert connection.execute(misdated(store)).fetchone() == (1,)


def misdated(store: Store) -> str:
    """Return what counts the entries of the index, by its own condition."""
    text = SQLITE["some_misdated"] if store.name == "sqlite" else POSTGRES["some_misdated"].decode()
    return text.replace("SELECT saga_id", "SELECT count(*)").replace("LIMIT :limit", "").replace("LIMIT $1", "")
