"""The port to a broker: envelopes go out, wire messages come in. Types only; it knows no broker and no store."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from sagalog.messages import Envelope


class Incoming(Struct, frozen=True, kw_only=True):
    """A message as a broker delivered it: its CloudEvents attributes by name, and its body, neither of them checked.

    `deliveries` says how often the broker has delivered it, this time included, as far as it knows.
    """

    attributes: Mapping[str, str]
    body: bytes
    deliveries: int = 1


class Receipt(Struct, frozen=True):
    """What became of a message that came in: `taken` for good, or to be delivered again after `pause` seconds."""

    taken: bool
    pause: float = 0.0


Receiver = Callable[[Incoming], Awaitable[Receipt]]


class Transport(Protocol):
    """What carries messages to other processes and back, each at least once.

    A transport connects by itself, as often as it must. It acknowledges a message to the broker only when `receive`
    has taken it, and never loses one that it has not.
    """

    @property
    def name(self) -> str:
        """Tell the transports of a process manager apart; its consumer is `transport:<name>`."""
        ...

    def carries(self, envelope: Envelope) -> bool:
        """Tell whether messages like this one are to be sent over it."""
        ...

    async def open(self, receive: Receiver) -> None:
        """Begin to connect, and to hand over what comes in; returns at once, also while the broker is away."""
        ...

    async def send(self, envelopes: Sequence[Envelope]) -> list[str | None]:
        """Send messages and wait until the broker has acknowledged them all.

        Returns for each None, or why the broker refuses it for good, or why it cannot be written down. Raises
        `TransportUnavailable` when nobody knows of all of them: sending the same again is safe. Any `OSError` means the
        same; whatever else is raised counts as the fault of one message, which is then found by sending them alone.
        """
        ...

    async def close(self) -> None:
        """Take nothing more, wait for what is being received, and disconnect."""
        ...
