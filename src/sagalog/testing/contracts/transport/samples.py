"""What the suite for transports sends, receives and waits for, and the broker under test; it holds no tests."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

from msgspec import Raw, structs

from sagalog.errors import TransportUnavailable
from sagalog.messages import Command, Envelope, Event, Message
from sagalog.transport import Incoming, Receipt, Receiver, Transport

# A limit, not a pause: it ends a test that would wait for ever (seconds).
BOUND_SECONDS = 60.0
TAKEN = Receipt(True)
PROBE = "probe:"


class Charge(Command):
    """A sample command."""

    amount: int


class Charged(Event):
    """The event that answers it."""

    amount: int


class BrokerOnTrial(Protocol):
    """The broker under test, which can be killed; it refuses messages larger than `largest` bytes."""

    largest: int

    def transport(
        self, service: str, *, sends: Sequence[type[Message]] = (), listens: Sequence[type[Message]] = ()
    ) -> Transport:
        """Return a transport for one process of a service; messages that were not taken come again within seconds."""
        ...

    def kill(self) -> None:
        """End the broker without warning, as a power cut would."""
        ...

    def start(self) -> None:
        """Start it again with the messages that it has stored."""
        ...


def charge(number: int, amount: int = 1) -> Envelope:
    """Return a command like one from a saga."""
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
    """Collects what comes in; `answer` returns the receipt for each message."""

    def __init__(self, answer: Callable[[Incoming], Receipt] = lambda _: TAKEN) -> None:
        self._answer = answer
        self.deliveries: list[Incoming] = []
        self.probed = False

    async def __call__(self, incoming: Incoming) -> Receipt:
        """Receive one message and return its receipt."""
        if incoming.attributes["id"].startswith(PROBE):
            self.probed = True
            return TAKEN
        self.deliveries.append(incoming)
        return self._answer(incoming)

    @property
    def ids(self) -> Counter[str]:
        """Return how often each message was delivered, by id."""
        return Counter(incoming.attributes["id"] for incoming in self.deliveries)


def has(mailbox: Mailbox, number: int) -> bool:
    """Tell whether at least `number` different messages have arrived."""
    return len(mailbox.ids) >= number


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition is true, up to the test's time limit."""
    while not condition():
        await asyncio.sleep(0.005)


async def insist(transport: Transport, envelopes: Sequence[Envelope]) -> list[str | None]:
    """Send again and again until the broker has acknowledged, as the outbox does."""
    while True:
        try:
            return await transport.send(envelopes)
        except TransportUnavailable:
            await asyncio.sleep(0.01)


async def introduce(broker: BrokerOnTrial, service: str) -> None:
    """Let a service subscribe once: some brokers keep nothing for a service that they have never seen."""
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
    """Yield an open transport, and close it after."""
    await transport.open(receive or Mailbox())
    try:
        yield transport
    finally:
        await transport.close()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run one test on an event loop of its own, with a time limit."""

    async def bounded() -> None:
        async with asyncio.timeout(BOUND_SECONDS):
            await test()

    asyncio.run(bounded())
