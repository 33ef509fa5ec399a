"""One connection to a broker, as the adapter needs it, and its configuration; it knows no kind of broker."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from sagalog.cloudevents import Binding
from sagalog.transport import Receiver


class Plan(Struct, frozen=True, kw_only=True):
    """The configuration of a link; `subjects` are those that `service` listens to.

    `options` are passed to FastStream's broker class. Durations are in seconds; `keep` is how long the broker keeps a
    message that nobody has read (None: for ever).
    """

    address: str
    service: str
    prefix: str
    subjects: Sequence[str]
    options: Mapping[str, Any]
    acknowledge_within: float
    keep: float | None
    connect_timeout: float
    send_timeout: float


class MessageRefused(Exception):
    """Raised when the broker will never take this message."""


class MessageInDoubt(Exception):
    """Raised when the broker refused this message or one sent beside it; sending each alone finds out which."""


class Link(Protocol):
    """One connection: opened once, lost once, never repaired. The adapter makes a new one."""

    binding: Binding
    # What the driver raises when the broker is away, does not answer, or accepts nothing for now.
    away: tuple[type[BaseException], ...]

    async def open(self, receive: Receiver) -> None:
        """Connect, declare what is missing, and pass on what comes in; raises whatever the driver raises."""
        ...

    async def publish(self, subject: str, kind: str, headers: dict[str, str], body: bytes, key: str) -> None:
        """Return when the broker has the message for good; raises `MessageRefused`, or what the driver raises.

        An exception that is not in `away`, on a connection that works, concerns this message.
        """
        ...

    async def lost(self) -> str:
        """Return when the connection, or something declared on it, no longer exists; the text says which."""
        ...

    async def close(self) -> None:
        """Take nothing more, wait a bounded time for what is being received, and disconnect."""
        ...
