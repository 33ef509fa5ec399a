"""A link that carries only so many bytes in time, and messages large and small that go over it."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from lab.lab import Process

from sagalog import Event, Participant
from sagalog.engine.bus.reading import Page
from sagalog.errors import BatchTooLarge
from sagalog.messages import Envelope
from sagalog.testing.simulation.world import SimulatedBlocking

Result = TypeVar("Result")
SECONDS = 2.0


class Big(Event):
    number: int
    text: str = "x" * 1000


class Small(Event):
    number: int


def size_of(found: Any) -> int:
    """About how many bytes of messages a read brings."""
    if isinstance(found, Envelope):
        return len(bytes(found.data))
    if isinstance(found, Page):
        return size_of(found.found)
    if isinstance(found, list | tuple):
        return sum(map(size_of, found))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return len(getattr(found, "message", ""))


def link(most: int, names: set[str], asked: list[int]) -> type[SimulatedBlocking]:
    """A link that carries so many bytes in the time that a statement has."""

    class SlowLink(SimulatedBlocking):
        async def read(self, call: Callable[..., Result], *arguments: Any) -> Result:
            found = await super().read(call, *arguments)
            size = size_of(found) if call.__name__ in names and found else 0
            if size:
                asked.append(size)
                if size > most:
                    await asyncio.sleep(SECONDS)
                    raise BatchTooLarge("canceling statement due to statement timeout")
            return found

    return SlowLink


def takes(kind: type[Event], seen: list[int], name: str) -> Participant:
    participant = Participant(name)

    async def take(event: Any) -> None:
        seen.append(event.number)

    take.__annotations__["event"] = kind
    participant.on(take)
    return participant


async def published(process: Process, *events: Event, lane: str | None = None) -> None:
    for event in events:
        await process.do(process.manager.publish(event, correlation_id=lane))
