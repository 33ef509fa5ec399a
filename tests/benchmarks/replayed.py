"""Replaying stored histories: reading, decoding and folding them, each alone and all together; nothing is written."""

import gc
import time
from collections.abc import Callable, Iterator

from msgspec import Struct

from sagalog.codec import CODEC
from sagalog.saga.events import SagaEvent
from sagalog.saga.evolve import fold
from sagalog.store import Query, Store, StoredEvent
from sagalog.stores import store_for
from tests.benchmarks import work
from tests.benchmarks.databases import Database, make_schema
from tests.benchmarks.measure import Series, Sizes

BATCH = 500
Histories = list[list[StoredEvent]]


class Replayed(Struct):
    """The seconds of each way through the same histories; they have so many events altogether."""

    sagas: int
    events: int
    ways: list[Series]


async def replayed(database: Database, sizes: Sizes) -> Replayed:
    """Measure finished three-step sagas, some of them undone; one round more than asked for, to warm up."""
    make_schema(database)
    database.load(await work.finished_samples(), sizes.replayed)
    store = store_for(database.address)
    store.open()
    try:
        histories = [history for batch in _read(store) for history in batch]
        decoded = [_decoded(history) for history in histories]
        events = sum(map(len, decoded))
        ways: list[tuple[Series, Callable[[], object]]] = [
            (Series("fold", []), lambda: [fold(history) for history in decoded]),
            (Series("decode and fold", []), lambda: [fold(_decoded(history)) for history in histories]),
            (
                Series("read, decode and fold", []),
                lambda: [fold(_decoded(history)) for batch in _read(store) for history in batch],
            ),
        ]
        for _ in range(sizes.rounds + 1):
            for times, way in ways:
                times.seconds.append(_timed(way))
    finally:
        store.close()
    for times, _ in ways:
        del times.seconds[0]
    return Replayed(len(histories), events, [times for times, _ in ways])


def _decoded(history: list[StoredEvent]) -> list[SagaEvent]:
    return CODEC.decode_all((event.topic, event.state) for event in history)


def _read(store: Store) -> Iterator[Histories]:
    """Yield every history, so many at a time."""
    before: str | None = None
    while rows := store.find(Query(before=before, limit=BATCH)):
        yield list(store.read_many([row.saga_id for row in rows]).values())
        before = rows[-1].saga_id


def _timed(way: Callable[[], object]) -> float:
    gc.collect()
    began = time.perf_counter()
    way()
    return time.perf_counter() - began
