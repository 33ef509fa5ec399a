"""One connection to a broker, as the adapter needs it, and what it is to carry; it knows no kind of broker."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from sagalog.cloudevents import Binding
from sagalog.transport import Receiver


class Plan(Struct, frozen=True, kw_only=True):
    """Where messages go out and come in; `subjects` are those that `service` listens to.

    `options` go to the broker class of FastStream as they are. Durations are in seconds; `keep` is how long the broker
    keeps a message that nobody has asked for (None: for ever).
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
    """The broker will never take this message."""


class MessageInDoubt(Exception):
    """The broker refused this message or one that was sent beside it, and only sending them alone will tell which."""


class Link(Protocol):
    """One connection: opened once, lost once, never repaired. The adapter makes another."""

    binding: Binding
    # What the driver raises when the broker is away, does not answer, or takes nothing for now.
    away: tuple[type[BaseException], ...]

    async def open(self, receive: Receiver) -> None:
        """Connect, declare what is missing, and hand over what comes in; raises whatever the driver raises."""
        ...

    async def publish(self, subject: str, kind: str, headers: dict[str, str], body: bytes, key: str) -> None:
        """Return when the broker has the message for good; raises `MessageRefused`, or what the driver raises.

        What is not of `away` and is raised on a connection that stands is of this message.
        """
        ...

    async def lost(self) -> str:
        """Return when the connection, or what was declared, is no longer there, and say which."""
        ...

    async def close(self) -> None:
        """Take nothing more, wait a bounded time for what is being received, and disconnect."""
        ...
