"""A small saga for tests that are about something else: two steps, each with a compensation."""

import msgspec

from sagalog import Saga


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
