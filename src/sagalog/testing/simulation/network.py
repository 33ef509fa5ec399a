"""A broker and a service behind it, outside of all simulated processes: messages come late, twice and out of order.

It loses no message for good, as a broker with acknowledgements does not; all other faults of a network can happen.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from sagalog.cloudevents import encode
from sagalog.errors import TransportUnavailable
from sagalog.messages import Command, Envelope, Event, name_of
from sagalog.testing.simulation.virtual_loop import Incarnation, current_incarnation, outside
from sagalog.testing.simulation.world import Killed, World
from sagalog.transport import Incoming, Receiver

SERVICE = "elsewhere"


class Network:
    """A network between simulated processes and one service; a message is delivered at most `copies` times."""

    def __init__(self, world: World, service: "RemoteService", *, copies: int = 3, slowest: float = 2.0) -> None:
        self.world = world
        self.service = service
        self.copies = copies
        self.slowest = slowest
        # How many messages are on their way, and the ids accepted from processes and by them.
        self.waiting = 0
        self.accepted: set[str] = set()
        self.acknowledged: set[str] = set()
        self._doors: dict[Incarnation, Receiver] = {}

    def transport(self) -> "SimulatedTransport":
        """Return a transport over this network for one process."""
        return SimulatedTransport(self)

    def listen(self, incarnation: Incarnation, receive: Receiver) -> None:
        """Deliver to this process as well, as long as it lives."""
        self._doors[incarnation] = receive

    def leave(self, incarnation: Incarnation) -> None:
        """Stop delivering to this process."""
        self._doors.pop(incarnation, None)

    def accept(self, envelope: Envelope) -> None:
        """Accept a command: it will reach the service at least once."""
        self.accepted.add(envelope.id)
        for _ in range(1 + self.world.seeded.randrange(self.copies)):
            self.waiting += 1
            self.world.loop.call_later(self._delay(), self._serve, envelope, context=outside())

    def _delay(self) -> float:
        drawn = self.world.seeded.random()
        return drawn * 0.05 if drawn < 0.8 else drawn * self.slowest

    def _serve(self, envelope: Envelope) -> None:
        self.waiting -= 1
        for reply in self.service.handle(envelope, self.world.now()):
            for _ in range(1 + self.world.seeded.randrange(self.copies)):
                self.waiting += 1
                self.world.loop.create_task(self._deliver(reply), context=outside())

    async def _deliver(self, reply: Envelope) -> None:
        """Deliver a reply to some process again and again until one has taken it."""
        attributes, body = encode(reply, SERVICE)
        deliveries = 0
        while True:
            await asyncio.sleep(self._delay())
            alive = [(one, door) for one, door in self._doors.items() if one.alive]
            if not alive:
                continue
            deliveries += 1
            incarnation, receive = self.world.seeded.choice(alive)
            incoming = Incoming(attributes=attributes, body=body, deliveries=deliveries)
            task = incarnation.spawn(_call(receive, incoming))
            waiting: set[asyncio.Future[Any]] = {task, incarnation.ended}
            await asyncio.wait(waiting, timeout=30, return_when=asyncio.FIRST_COMPLETED)
            # The acknowledgement may be lost as well; then the reply is delivered again.
            if task.done() and not task.cancelled() and task.result() and self.world.chance() > 0.1:
                self.waiting -= 1
                self.acknowledged.add(reply.id)
                return


async def _call(receive: Receiver, incoming: Incoming) -> bool:
    return (await receive(incoming)).taken


class SimulatedTransport:
    """The transport port on a simulated network: every command goes out, replies come in."""

    name = "network"

    def __init__(self, network: Network) -> None:
        self._network = network
        self._incarnation = current_incarnation()

    def carries(self, envelope: Envelope) -> bool:
        """Tell whether the message is one of the service's commands."""
        return envelope.kind == "command" and envelope.name in self._network.service.commands

    async def open(self, receive: Receiver) -> None:
        """Begin to listen."""
        self._incarnation = current_incarnation()
        assert self._incarnation is not None
        self._network.listen(self._incarnation, receive)

    async def send(self, envelopes: Sequence[Envelope]) -> list[str | None]:
        """Send; raises `TransportUnavailable` when no acknowledgement comes, whether or not it was sent."""
        world = self._network.world
        await asyncio.sleep(world.delay())
        try:
            if not world.passes("effect", "before", self._incarnation):
                raise TransportUnavailable("the broker does not answer (nothing was sent)")
            for envelope in envelopes:
                self._network.accept(envelope)
            if not world.passes("effect", "after", self._incarnation):
                raise TransportUnavailable("the broker did not answer (all was sent)")
        except Killed:
            await world.loop.create_future()
        await asyncio.sleep(world.delay())
        return [None] * len(envelopes)

    async def close(self) -> None:
        """Stop listening."""
        if self._incarnation is not None:
            self._network.leave(self._incarnation)


class Ask(msgspec.Struct, frozen=True):
    """How the service handles one command: its reply on success, its reply on refusal, and what the command undoes."""

    done: Callable[[Command], Event]
    refused: Callable[[Command], Event] | None = None
    undoes: Callable[[Command], str] | None = None


class RemoteService:
    """A service with a database of its own: idempotent by command id, with tombstones and recorded replies.

    `script` returns the course for a command: "ok", "refused", or "silent" (done, but never answered).
    """

    def __init__(self, commands: Mapping[type[Command], Ask], script: Callable[[Envelope], str]) -> None:
        self.commands = {name_of(kind): (kind, ask) for kind, ask in commands.items()}
        self.made: Counter[str] = Counter()
        self.undone: Counter[str] = Counter()
        self.tombstones: set[str] = set()
        self.refused_late = 0
        self._script = script
        self._answers: dict[str, list[Envelope]] = {}

    def handle(self, envelope: Envelope, now: int) -> list[Envelope]:
        """Do what a command asks for, once, and return the replies; a repeated command gets the same replies."""
        if envelope.id not in self._answers:
            kind, ask = self.commands[envelope.name]
            command = msgspec.json.decode(envelope.data, type=kind)
            answer = self._do(envelope, ask, command)
            self._answers[envelope.id] = [] if answer is None else [self._reply(envelope, answer, now)]
        return self._answers[envelope.id]

    def _do(self, envelope: Envelope, ask: Ask, command: Command) -> Event | None:
        script = self._script(envelope)
        if ask.undoes is not None:
            undone = ask.undoes(command)
            if self.made[undone] > self.undone[undone]:
                self.undone[undone] += 1
            self.tombstones.add(undone)
            return ask.done(command)
        assert ask.refused is not None
        if envelope.id in self.tombstones:
            self.refused_late += 1
            return ask.refused(command)
        if script == "refused":
            return ask.refused(command)
        self.made[envelope.id] += 1
        return None if script == "silent" else ask.done(command)

    def _reply(self, envelope: Envelope, answer: Event, now: int) -> Envelope:
        return Envelope(
            id=f"reply-to-{envelope.id}",
            kind="event",
            name=name_of(type(answer)),
            source=SERVICE,
            correlation_id=envelope.correlation_id,
            causation_id=envelope.id,
            time=now,
            data=msgspec.Raw(msgspec.json.encode(answer)),
        )

    def standing(self) -> set[str]:
        """Return the ids of the commands whose effects were made and not undone."""
        return {key for key, times in self.made.items() if times > self.undone[key]}
