"""Domain messages: events that have happened, commands that ask for something, and their envelope; values only."""

from typing import Literal, dataclass_transform

import msgspec


class MessageMeta(msgspec.StructMeta):
    """The metaclass of messages: their classes are frozen and keyword-only."""

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, object], **options: object
    ) -> "MessageMeta":
        """Create the class, frozen and keyword-only unless it says otherwise."""
        options.setdefault("frozen", True)
        options.setdefault("kw_only", True)
        return super().__new__(mcls, name, bases, namespace, **options)  # type: ignore[arg-type]


# Tells mypy and pyright what the metaclass does. It is on the class and not on the metaclass because msgspec has its
# own on `Struct`, and the nearest base class wins.
@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Message(msgspec.Struct, frozen=True, kw_only=True, metaclass=MessageMeta):
    """The base of events and commands; declare one of those instead."""


class Event(Message):
    """Something that has happened, declared as `class OrderPlaced(Event): order_id: str`."""


class Command(Message):
    """A request to a participant, declared as `class ReserveInventory(Command): order_id: str`."""


class CommandDone(Event):
    """The answer to a command whose handler returned nothing: it was done."""


class CommandRefused(Event):
    """The answer to a command whose handler raised `Refused`: it was definitely not done."""

    reason: str


def name_of(kind: type[Message]) -> str:
    """Return the name of a class as a message: its own `NAME`, or the name of the class."""
    named: object = kind.__dict__.get("NAME", kind.__name__)
    return str(named)


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message with its id, its causes, and its data as JSON; reading never changes the data.

    `time` is in microseconds since the epoch. `correlation_id` is shared by everything that a first cause led to;
    `causation_id` is the message (or saga) that led to this one. `saga_id` and `step` say which saga sent a command.
    `via` is the transport that a message came over, which never sends it back. A "note" goes from one saga to another,
    or tells a participant what has happened to a saga; it is no message of the domain.
    """

    id: str
    kind: Literal["event", "command", "note"]
    name: str
    source: str
    correlation_id: str
    causation_id: str | None = None
    time: int
    data: msgspec.Raw
    saga_id: str | None = None
    step: str | None = None
    via: str | None = None


class Unreadable(Envelope, frozen=True, kw_only=True, omit_defaults=True):
    """A message whose stored row is damaged, so that only some of its columns can be read.

    `problem` says which row and why, `raw` is its stored content, `position` its place in the log. Its `data` is not
    real, so no handler may get it: the recipient parks the message instead.
    """

    problem: str
    raw: bytes = b""
    position: int | None = None
