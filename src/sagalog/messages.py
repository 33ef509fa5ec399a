"""Domain messages: events that have happened and commands that ask; values only, no behaviour."""

from typing import dataclass_transform

import msgspec


class MessageMeta(msgspec.StructMeta):
    """Make every message class frozen and keyword-only."""

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, object], **options: object
    ) -> "MessageMeta":
        """Create the class, frozen and keyword-only unless it says otherwise."""
        options.setdefault("frozen", True)
        options.setdefault("kw_only", True)
        return super().__new__(mcls, name, bases, namespace, **options)  # type: ignore[arg-type]


# Tell mypy and pyright what the metaclass does. It stands on the class and not on the metaclass because msgspec has its
# own on `Struct`, and the nearest base class wins.
@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Message(msgspec.Struct, frozen=True, kw_only=True, metaclass=MessageMeta):
    """Be the base of events and commands; declare one of those instead."""


class Event(Message):
    """Declare something that has happened: `class OrderPlaced(Event): order_id: str`."""


class Command(Message):
    """Declare something that is asked of a participant: `class ReserveInventory(Command): order_id: str`."""
