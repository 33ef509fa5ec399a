"""Following an application in a test: how fast, until when, and what came of it."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from databases.stores import opened
from followed.bookshop import OrderPlaced
from msgspec import json

from sagalog.messages import Envelope
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.store import Store, UnmatchedQuery, UnmatchedRow, UnmatchedStatus
from sagalog.stores import store_for

SETTINGS = Settings(lease=2.0, poll=0.02, follow_poll=0.01, grace=5.0)
EVERYTHING = 1_000_000


async def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Look until something is true; fails when the time is over."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)


def published(store: Store) -> list[Envelope]:
    """Return every message of the log, in order."""
    return [envelope for _, envelope in store.read_messages(0, EVERYTHING)]


def numbers(store: Store) -> list[int]:
    """Return the numbers of the orders that were told to have been placed, in order."""
    placed = json.Decoder(OrderPlaced)
    return [placed.decode(one.data).number for one in published(store) if one.name == "OrderPlaced"]


def position(store: Store, name: str = "Bookshop") -> int | None:
    """Return how far an application has been followed."""
    rows = [row for row in store.consumers() if row.consumer == f"follow:{name}"]
    return rows[0].position if rows else None


def parked(store: Store, *statuses: UnmatchedStatus) -> list[UnmatchedRow]:
    """Return what is parked, oldest first."""
    return store.unmatched(UnmatchedQuery(statuses=statuses or ("parked",), limit=EVERYTHING))[::-1]


@pytest.fixture
def each_target(each_database: str | Store) -> Iterator["Target"]:
    """An empty database of each kind that process managers may open and close, and an eye on it."""
    with opened(each_database) as eye:
        yield Target(each_database, eye)


class Target(NamedTuple):
    """Where messages go: what a process manager is given, and a store of our own to look at it with."""

    database: str | Store
    eye: Store

    def store(self) -> Store:
        """Return a store for one process manager."""
        return store_for(self.database) if isinstance(self.database, str) else self.database


def manager_of(store: str | Store, **options: Any) -> ProcessManager:
    """Return a process manager without sagas."""
    return ProcessManager(store, settings=SETTINGS, **options)
