"""What the suite of transports sends, receives and waits for, and the broker that it puts on trial; no test."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

from msgspec import Raw, structs

from sagalog.errors import TransportUnavailable
from sagalog.messages import Command, Envelope, Event, Message
from sagalog.transport import Incoming, Receipt, Receiver, Transport

# A bound and not a pause: everything waits for what it needs, and this ends a test that would wait for ever.
BOUND_SECONDS = 60.0
TAKEN = Receipt(True)
PROBE = "probe:"


class Charge(Command):
    """A command that asks for something."""

    amount: int


class Charged(Event):
    """The event that answers it."""

    amount: int


class BrokerOnTrial(Protocol):
    """A broker that a test may kill; messages that are larger than `largest` bytes it refuses."""

    largest: int

    def transport(
        self, service: str, *, sends: Sequence[type[Message]] = (), listens: Sequence[type[Message]] = ()
    ) -> Transport:
        """Return a transport for one process of a service; undelivered messages come again within seconds."""
        ...

    def kill(self) -> None:
        """End the broker as a power cut would end its process."""
        ...

    def start(self) -> None:
        """Start it again with what it has kept."""
        ...


def charge(number: int, amount: int = 1) -> Envelope:
    """Return a command as a saga issues it."""
    return Envelope(
        id=f"saga-{number}:charge",
        kind="command",
        name="Charge",
        source="saga:orders",
        correlation_id=f"order-{number}",
        causation_id=f"saga-{number}",
        time=1_700_000_000_000_000 + number,
        data=Raw(b'{"amount":%d}' % amount),
        saga_id=f"saga-{number}",
        step="charge",
    )


def padded(number: int, length: int) -> Envelope:
    """Return a command that is larger than `length` bytes."""
    return structs.replace(charge(number), data=Raw(b'{"amount":1,"note":"' + b"x" * length + b'"}'))


class Mailbox:
    """What has come in; `answer` decides what becomes of it."""

    def __init__(self, answer: Callable[[Incoming], Receipt] = lambda _: TAKEN) -> None:
        self._answer = answer
        self.deliveries: list[Incoming] = []
        self.probed = False

    async def __call__(self, incoming: Incoming) -> Receipt:
        """Receiver."""
        if incoming.attributes["id"].startswith(PROBE):
            self.probed = True
            return TAKEN
        self.deliveries.append(incoming)
        return self._answer(incoming)

    @property
    def ids(self) -> Counter[str]:
        """How often each message was delivered."""
        return Counter(incoming.attributes["id"] for incoming in self.deliveries)


def has(mailbox: Mailbox, number: int) -> bool:
    """Tell whether at least so many messages have arrived, each counted once."""
    return len(mailbox.ids) >= number


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is true, up to the bound of the test."""
    while not condition():
        await asyncio.sleep(0.005)


async def insist(transport: Transport, envelopes: Sequence[Envelope]) -> list[str | None]:
    """Send until the broker has acknowledged, as the outbox does."""
    while True:
        try:
            return await transport.send(envelopes)
        except TransportUnavailable:
            await asyncio.sleep(0.01)


async def introduce(broker: BrokerOnTrial, service: str) -> None:
    """Let the broker know a service: some keep nothing for one that they have never seen."""
    mailbox = Mailbox()
    probe = structs.replace(charge(0), id=f"{PROBE}{service}")
    async with (
        opened(broker.transport(service, listens=[Charge]), mailbox),
        opened(broker.transport("prober", sends=[Charge])) as prober,
    ):
        while not mailbox.probed:
            await insist(prober, [probe])
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await until(lambda: mailbox.probed)


@asynccontextmanager
async def opened(transport: Transport, receive: Receiver | None = None) -> AsyncGenerator[Transport]:
    """Give an open transport, closed afterwards."""
    await transport.open(receive or Mailbox())
    try:
        yield transport
    finally:
        await transport.close()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run one test on an event loop of its own."""

    async def bounded() -> None:
        async with asyncio.timeout(BOUND_SECONDS):
            await test()

    asyncio.run(bounded())
