"""A broker in memory, for tests and simulations: it delivers at least once, can be killed, and keeps its messages.

It uses CloudEvents like the real adapters, so the same attributes and bodies go over it.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from msgspec import Struct, structs

from sagalog.cloudevents import encode
from sagalog.errors import SagalogError, TransportUnavailable
from sagalog.messages import Command, Envelope, Message, name_of
from sagalog.transport import Incoming, Receiver

Address = tuple[str, str]


class Queued(Struct, frozen=True):
    """A message in the queue of a service; `due` is when it may be delivered (seconds of the event loop's clock)."""

    incoming: Incoming
    due: float = 0.0


class MemoryBroker:
    """A broker in memory: a queue for each service, and the services' subscriptions."""

    def __init__(self, largest: int = 1024 * 1024) -> None:
        self.largest = largest
        self.up = True
        self.queues: dict[str, deque[Queued]] = {}
        self.subscriptions: dict[str, set[Address]] = {}
        # Everything that was ever sent, for services that subscribe later.
        self.kept: list[tuple[Address, Incoming]] = []
        self.change = asyncio.Event()

    def kill(self) -> None:
        """Cut every connection; acknowledged messages are kept, and those not taken are delivered again."""
        self.up = False
        self._tell()

    def start(self) -> None:
        """Start again."""
        self.up = True
        self._tell()

    def transport(
        self, service: str, *, sends: Sequence[type[Message]] = (), listens: Sequence[type[Message]] = ()
    ) -> "MemoryTransport":
        """Return a transport for one process of a service."""
        return MemoryTransport(self, service, {_address(one) for one in sends}, {_address(one) for one in listens})

    def subscribe(self, service: str, addresses: set[Address]) -> None:
        """Create the queue of a service; it also gets what was sent before."""
        known = self.subscriptions.setdefault(service, set())
        queue = self.queues.setdefault(service, deque())
        queue.extend(Queued(incoming) for address, incoming in self.kept if address in addresses - known)
        known |= addresses
        self._tell()

    def put(self, address: Address, incoming: Incoming) -> None:
        """Put a message into the queue of every service that listens to its address."""
        self.kept.append((address, incoming))
        for service, addresses in self.subscriptions.items():
            if address in addresses:
                self.queues[service].append(Queued(incoming))
        self._tell()

    def give_back(self, service: str, incoming: Incoming, due: float) -> None:
        """Deliver a message again at `due`."""
        self.queues[service].append(Queued(structs.replace(incoming, deliveries=incoming.deliveries + 1), due))
        self._tell()

    def _tell(self) -> None:
        self.change.set()
        self.change = asyncio.Event()


class MemoryTransport:
    """The connection of one process to a broker in memory."""

    name = "memory"

    def __init__(self, broker: MemoryBroker, service: str, sends: set[Address], listens: set[Address]) -> None:
        self._broker = broker
        self._service = service
        self._sends = sends
        self._listens = listens
        self._task: asyncio.Task[None] | None = None

    def carries(self, envelope: Envelope) -> bool:
        """Tell whether messages like this one are in `sends`."""
        return (envelope.kind, envelope.name) in self._sends

    async def open(self, receive: Receiver) -> None:
        """Begin to receive."""
        self._broker.subscribe(self._service, self._listens)
        self._task = asyncio.get_running_loop().create_task(self._deliver(receive))

    async def send(self, envelopes: Sequence[Envelope]) -> list[str | None]:
        """Put messages into the services' queues; raises `TransportUnavailable` while the broker is down."""
        await asyncio.sleep(0)
        if not self._broker.up:
            raise TransportUnavailable("the broker is down")
        outcomes: list[str | None] = []
        for envelope in envelopes:
            try:
                attributes, body = encode(envelope, self._service)
            except SagalogError as problem:
                outcomes.append(f"it cannot be written down: {problem}")
                continue
            if len(body) > self._broker.largest:
                outcomes.append(f"it is {len(body):,} bytes, the broker takes {self._broker.largest:,}")
                continue
            self._broker.put((envelope.kind, envelope.name), Incoming(attributes=attributes, body=body))
            outcomes.append(None)
        return outcomes

    async def close(self) -> None:
        """Stop after the message that is being received."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _deliver(self, receive: Receiver) -> None:
        broker = self._broker
        queue = broker.queues[self._service]
        loop = asyncio.get_running_loop()
        while True:
            change = broker.change
            ready = broker.up and next((one for one in queue if one.due <= loop.time()), None)
            if not ready:
                await self._rest(change, min((one.due for one in queue), default=None))
                continue
            queue.remove(ready)
            # Shielded, so that a message being handled is finished before closing returns.
            receiving = asyncio.ensure_future(self._receive(receive, ready.incoming))
            try:
                await asyncio.shield(receiving)
            except asyncio.CancelledError:
                await receiving
                raise

    async def _receive(self, receive: Receiver, incoming: Incoming) -> None:
        receipt = await receive(incoming)
        if not self._broker.up:
            # The acknowledgement is lost.
            self._broker.give_back(self._service, incoming, 0.0)
        elif not receipt.taken:
            self._broker.give_back(self._service, incoming, asyncio.get_running_loop().time() + receipt.pause)

    @staticmethod
    async def _rest(change: asyncio.Event, due: float | None) -> None:
        # While the broker is down even a message that is due waits for a change.
        later = due if due is not None and due > asyncio.get_running_loop().time() else None
        with suppress(TimeoutError):
            async with asyncio.timeout_at(later):
                await change.wait()


def _address(kind: type[Message]) -> Address:
    return ("command" if issubclass(kind, Command) else "event", name_of(kind))
