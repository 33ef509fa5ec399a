"""The port to a broker: envelopes go out, broker messages come in. Types only; it knows no broker and no store."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from sagalog.messages import Envelope


class Incoming(Struct, frozen=True, kw_only=True):
    """A message as a broker delivered it: its CloudEvents attributes by name, and its body, both unchecked.

    `deliveries` counts the deliveries by the broker, this one included, as far as the broker knows.
    """

    attributes: Mapping[str, str]
    body: bytes
    deliveries: int = 1


class Receipt(Struct, frozen=True):
    """The outcome for a message that came in: `taken` for good, or to be delivered again after `pause` seconds."""

    taken: bool
    pause: float = 0.0


Receiver = Callable[[Incoming], Awaitable[Receipt]]


class Transport(Protocol):
    """Carries messages to other processes and back, each at least once.

    A transport connects by itself, as often as needed. It acknowledges a message to the broker only after `receive` has
    taken it, and never loses one that was not taken.
    """

    @property
    def name(self) -> str:
        """Return a name that is unique in its process manager; its consumer is `transport:<name>`."""
        ...

    def carries(self, envelope: Envelope) -> bool:
        """Tell whether messages like this one are to be sent over this transport."""
        ...

    async def open(self, receive: Receiver) -> None:
        """Begin to connect, and to pass what comes in to `receive`; return at once, even if the broker is away."""
        ...

    async def send(self, envelopes: Sequence[Envelope]) -> list[str | None]:
        """Send messages and wait until the broker has acknowledged them all.

        Returns for each None, or the reason why the broker refuses it for good or why it cannot be encoded. Raises
        `TransportUnavailable`, or any `OSError`, when it is unknown whether all were received: sending the same again
        is safe. Any other exception counts as the fault of one message, which is then found by sending each alone.
        """
        ...

    async def close(self) -> None:
        """Take nothing more, wait for what is being received, and disconnect."""
        ...
