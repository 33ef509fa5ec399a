"""Which class of message each name stands for, over everything that one process declares."""

from collections.abc import Iterable

from sagalog.errors import DefinitionError, InvalidIdentifier
from sagalog.messages import CommandDone, CommandRefused, Message, name_of
from sagalog.saga.identifiers import LONGEST_NAME, check_identifier
from sagalog.saga.payload.payload_type import PayloadType

BUILT_IN: tuple[tuple[str, type[Message]], ...] = (("sagalog", CommandDone), ("sagalog", CommandRefused))


class Vocabulary:
    """The classes of messages by name. Names of `names` are known as messages without a class.

    Raises `DefinitionError` if one name stands for two classes, because a message would be read as the wrong one. It is
    also raised for a name that no store can keep.
    """

    def __init__(self, declared: Iterable[tuple[str, type[Message]]], names: Iterable[str] = ()) -> None:
        self._names = set(names)
        self._kinds: dict[str, type[Message]] = {}
        self._payloads: dict[str, PayloadType] = {}
        declared_by: dict[str, str] = {}
        mistakes: dict[str, None] = {}
        for where, kind in (*BUILT_IN, *declared):
            name = _checked(kind)
            known = self._kinds.setdefault(name, kind)
            first = declared_by.setdefault(name, where)
            if known is not kind:
                mistakes[
                    f"the name {name} stands for {known.__module__}.{known.__qualname__} in {first} and for "
                    f"{kind.__module__}.{kind.__qualname__} in {where}; give one of them another NAME"
                ] = None
        if mistakes:
            listed = "\n".join(f"  - {text}" for text in mistakes)
            raise DefinitionError(f"two classes of messages have one name:\n{listed}")

    def __contains__(self, name: str) -> bool:
        return name in self._kinds or name in self._names

    def __len__(self) -> int:
        return len(self._kinds.keys() | self._names) - len(BUILT_IN)

    def kind(self, name: str) -> type[Message] | None:
        """Return the class of messages of that name; None if it is not known."""
        return self._kinds.get(name)

    def payload(self, name: str) -> PayloadType | None:
        """Return how messages of that name are read and written; None if their class is not known."""
        if name not in self._payloads:
            kind = self._kinds.get(name)
            if kind is None:
                return None
            self._payloads[name] = PayloadType(kind)
        return self._payloads[name]


def _checked(kind: type[Message]) -> str:
    try:
        return check_identifier(name_of(kind), f"the name of messages of the class {kind.__qualname__}", LONGEST_NAME)
    except InvalidIdentifier as problem:
        raise DefinitionError(f"{problem}; give it another NAME") from None
