"""Reactions: how fast a participant hears of sagas that have ended, beside as many messages in the same lanes."""

import asyncio
import gc
import sqlite3
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from typing import Any

import msgspec
from msgspec import Struct

from sagalog import Event, Participant
from sagalog.codec import encode_json
from sagalog.engine.telling import kind_of
from sagalog.messages import Envelope, name_of
from sagalog.process_manager import ProcessManager
from sagalog.projections import Metadata, SagaCompleted, SagaFailed, SagaStuck, StepSucceeded
from sagalog.store import Posting, Store, StoredEvent
from sagalog.stores import store_for
from sagalog.stores.sql import statements
from tests.benchmarks import work
from tests.benchmarks.databases import Database, make_schema
from tests.benchmarks.measure import Beside, Series, Sizes

MOST_ROUNDS = 5
PAGE = 500
SQL = statements("tests.benchmarks", "reacted.sql")


class Told(Event):
    """A domain event that says about as much as the end of a saga does."""

    saga: str


class Over(Event):
    """The last entry of a log in which nothing else concerns a participant."""

    number: int


class Way(Struct):
    """The seconds that so many events of sagas took to be heard, beside as many messages."""

    name: str
    events: int
    beside: Beside


class Reacted(Struct):
    """A log of so many events: those that were heard, and the seconds it took to read it all and hear nothing."""

    log: int
    ways: list[Way]
    deaf: Series


KINDS: dict[str, tuple[type[Any], ...]] = {
    "the end of each saga": (SagaCompleted, SagaFailed),
    "each step of each saga": (StepSucceeded,),
}


async def reacted(full: Database, ends: Database, steps: Database, sizes: Sizes) -> Reacted:
    """Measure participants that are new in each round and begin where the log does, in turns on the databases."""
    for database in (full, ends, steps):
        make_schema(database)
    full.load(await work.finished_samples(), sizes.reacted)
    log = _log(full.address)
    found: list[tuple[Way, Database, Any]] = []
    for (name, kinds), database in zip(KINDS.items(), (ends, steps), strict=True):
        wanted = [one for one in log if kind_of(one.topic) in kinds]
        _publish(database.address, wanted)
        way = Way(name, len(wanted), Beside(Series("notes", []), [Series("messages", [])]))
        found.append((way, database, kinds[0] if len(kinds) == 1 else kinds[0] | kinds[1]))
    deaf = Series("deaf", [])
    for number in range(min(sizes.rounds, MOST_ROUNDS) + 1):
        for way, database, kinds in found:
            way.beside.engine.seconds.append(await _heard(full.address, number, kinds, way.events))
            way.beside.floors[0].seconds.append(await _heard(database.address, number, Told, way.events))
        deaf.seconds.append(await _heard_nothing(full.address, number))
    for times in (deaf, *(each for way, _, _ in found for each in (way.beside.engine, way.beside.floors[0]))):
        del times.seconds[0]
    return Reacted(len(log), [way for way, _, _ in found], deaf)


@contextmanager
def _opened(address: str) -> Generator[Store]:
    store = store_for(address)
    store.open()
    try:
        yield store
    finally:
        store.close()


def _log(address: str) -> list[StoredEvent]:
    log: list[StoredEvent] = []
    with _opened(address) as store:
        while stored := store.read_log(log[-1].position if log else 0, PAGE):
            log += stored
    return log


def _publish(address: str, like: list[StoredEvent]) -> None:
    """Write a message for each of these events, with the saga for its correlation id."""
    messages = [_message(f"{one.saga_id}:{one.version}", one.saga_id, Told(saga=one.saga_id)) for one in like]
    with _opened(address) as store:
        for begin in range(0, len(messages), PAGE):
            store.post([Posting(messages=(message,)) for message in messages[begin : begin + PAGE]])


def _message(id: str, lane: str, event: Event) -> Envelope:
    return Envelope(
        id=id,
        kind="event",
        name=name_of(type(event)),
        source="bench",
        correlation_id=lane,
        causation_id=lane,
        time=1_700_000_000_000_000,
        data=msgspec.Raw(encode_json(event)),
    )


def _begin_at_the_start(address: str, name: str) -> None:
    """Make a consumer, which would otherwise begin at the end of the log because it is new and reacts to sagas."""
    with _opened(address) as store:
        store.take_consumers("bench", [f"participant:{name}"], 0, False)
        store.release_consumers("bench", [f"participant:{name}"])


async def _heard(address: str, number: int, kinds: Any, events: int) -> float:
    """Return the seconds from the opening of a process manager until its participant has heard so many events."""
    name = f"{'-'.join(str(kinds).split())}-{number}"[:100]
    participant, done, left = Participant(name), asyncio.Event(), events
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as rows:
        rows.execute(SQL["create"])

        async def hear(event: Any, about: Metadata) -> None:
            nonlocal left
            rows.execute(SQL["write"], (about.id, about.position))
            left -= 1
            if not left:
                done.set()

        hear.__annotations__["event"] = kinds
        participant.on(hear)
        return await _timed(address, name, participant, done)


async def _heard_nothing(address: str, number: int) -> float:
    """Return the seconds until a participant that nothing concerns has read the log; the end says a message."""
    name = f"deaf-{number}"
    participant, done = Participant(name), asyncio.Event()

    @participant.on
    async def over(event: Over) -> None:
        if event.number == number:
            done.set()

    @participant.on
    async def stuck(event: SagaStuck) -> None:
        raise RuntimeError("expected sagas that have ended, found one that is stuck")

    with _opened(address) as store:
        store.post([Posting(messages=(_message(f"over-{number}", f"over-{number}", Over(number=number)),))])
    return await _timed(address, name, participant, done)


async def _timed(address: str, name: str, participant: Participant, done: asyncio.Event) -> float:
    _begin_at_the_start(address, name)
    gc.collect()
    began = time.perf_counter()
    async with ProcessManager(address, participants=[participant]):
        await done.wait()
        return time.perf_counter() - began
