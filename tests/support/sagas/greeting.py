"""A small saga for tests that are about something else: two steps, each with a compensation."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec

from sagalog import Saga
from sagalog.settings import Settings

Result = TypeVar("Result")

QUICK = Settings(lease=1, poll=0.01, write_timeout=0.2, statement_timeout=1)


def run(test: Coroutine[Any, Any, Result]) -> Result:
    """Run a test's coroutine on a loop of its own, for 20 seconds at most."""

    async def bounded() -> Result:
        async with asyncio.timeout(20):
            return await test

    return asyncio.run(bounded())


class Greeting(msgspec.Struct, frozen=True):
    """What the saga is started with."""

    name: str
    times: int = 1


class Card(msgspec.Struct, frozen=True):
    """What the first step makes."""

    text: str


def greet(version: int = 1, **declared: object) -> Saga[Greeting]:
    """Return a saga that writes a card and posts it."""
    saga = Saga("greet", input=Greeting, version=version, key=lambda greeting: greeting.name, **declared)  # type: ignore[arg-type]

    @saga.step
    async def write(greeting: Greeting) -> Card:
        return Card("hello " * greeting.times + greeting.name)

    @write.compensate
    async def tear(_: Card | None) -> None: ...

    @saga.step
    async def post(card: Card) -> None: ...

    @post.compensate
    async def fetch_back(_: None) -> None: ...

    return saga
