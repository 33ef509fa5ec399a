"""A participant that answers pings, for tests of the bus that need nothing more."""

from lab.lab import Process

from sagalog import Command, Event, Participant
from sagalog.store import Store


class Ping(Event):
    number: int


class Pong(Event):
    number: int


class Stop(Command):
    number: int


def echo(seen: list[int], name: str = "echo") -> Participant:
    """A participant that answers each ping."""
    participant = Participant(name)

    @participant.on
    async def answer(ping: Ping) -> Pong:
        seen.append(ping.number)
        return Pong(number=ping.number)

    assert answer.__name__ == "answer"
    return participant


async def pinged(process: Process, number: int) -> None:
    await process.do(process.manager.publish(Ping(number=number), id=f"ping-{number}"))


def pongs(store: Store) -> list[int]:
    found = [one for _, one in store.read_messages(0, 10_000) if one.name == "Pong"]
    return sorted(int(bytes(one.data).split(b":")[1].rstrip(b"}")) for one in found)
