"""INVARIANT 36: what is too large to be read in time is read in pieces, and holds up nobody else meanwhile."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from lab import Lab, Process, in_lab

from sagalog import Event, Participant
from sagalog.errors import BatchTooLarge
from sagalog.messages import Envelope
from sagalog.stores.memory import MemoryStore
from sagalog.testing.world import SimulatedBlocking

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
    if isinstance(found, list | tuple):
        return sum(map(size_of, found))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return len(getattr(found, "message", ""))


def link(most: int, names: set[str], asked: list[int]) -> type[SimulatedBlocking]:
    """A link that carries so many bytes in the time that a statement has."""

    class SlowLink(SimulatedBlocking):
        async def read(self, call: Callable[..., Result], *arguments: Any) -> Result:
            found = await super().read(call, *arguments)
            if call.__name__ in names and found:
                asked.append(size_of(found))
                if size_of(found) > most:
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


@pytest.mark.parametrize("at_once", [1, 5])
def test_a_page_that_is_too_large_is_read_in_pieces(at_once: int) -> None:
    seen, asked = list[int](), list[int]()
    blocking = link(1_100 * at_once, {"read_messages"}, asked)

    async def story(lab: Lab) -> None:
        client = await lab.begin(worker=False)
        await published(client, *(Big(number=number) for number in range(80)))
        await lab.begin(participants=[takes(Big, seen, "big")], blocking=blocking)
        await lab.until(lambda: len(seen) == 80, 100)
        assert sorted(seen) == list(range(80))

    in_lab(MemoryStore(), story)
    assert sum(size > 1_100 * at_once for size in asked) < len(asked) / 2


def test_while_one_consumer_reads_what_is_too_large_the_others_go_on() -> None:
    seen, others, late = list[int](), list[int](), list[float]()
    blocking = link(1_100, {"read_messages"}, [])

    async def story(lab: Lab) -> None:
        ahead = await lab.begin(participants=[takes(Small, others, "small")])
        await published(ahead, *(Big(number=number) for number in range(80)), Small(number=0))
        await lab.until(lambda: others == [0])
        await ahead.stop()
        both = [takes(Big, seen, "big"), takes(Small, others, "small")]
        process = await lab.begin(participants=both, blocking=blocking)
        # The first read of those that went together.
        await lab.sleep(SECONDS + 1)
        for number in range(1, 15):
            began = lab.now()
            await published(process, Small(number=number))
            while number not in others:
                await lab.sleep(0.01)
            late.append(lab.now() - began)
        assert max(late) < 1
        await lab.until(lambda: len(seen) == 80)

    in_lab(MemoryStore(), story)
