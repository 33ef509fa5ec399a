"""Ids, keys and names at the door: the same rules for every store."""

import re
from typing import Literal

from sagalog.errors import InvalidIdentifier

MAX_LENGTH = 500


def check_identifier(value: str, what: str, longest: int = MAX_LENGTH) -> str:
    """Return `value` if every store can keep it.

    Raises `InvalidIdentifier` for anything but 1 to `longest` characters without control characters and lone
    surrogates; `what` names the value in the text.
    """
    if not isinstance(value, str):
        raise InvalidIdentifier(f"{what}: expected text, found {type(value).__name__}")
    if not 1 <= len(value) <= longest:
        raise InvalidIdentifier(f"{what}: expected 1 to {longest} characters, found {len(value):,}")
    if value.isascii() and value.isprintable():
        return value
    for character in value:
        code = ord(character)
        if code < 32 or code == 127 or 0xD800 <= code <= 0xDFFF:
            raise InvalidIdentifier(f"{what}: expected plain text, found the character U+{code:04X}; remove it")
    return value


def effect_id(saga_id: str, step: str, direction: Literal["action", "compensation"], number: int) -> str:
    """Return the identity of an effect: an idempotency key, and the id of the command that asks for it.

    A pure function of the saga, the step, the direction, and how many effects of this kind came before (`number`). No
    two have the same one, whatever the steps are called: what follows a step's name can be told from the name.
    """
    if _READS_AS_MORE.fullmatch(step) or (number and direction == "action" and step == _NOTE):
        step += ":"
    undo = ":undo" if direction == "compensation" else ""
    return f"{saga_id}:{step}{undo}:{number + 1}" if number else f"{saga_id}:{step}{undo}"


def note_id(saga_id: str, version: int) -> str:
    """Return the identity of the note that the event of this version sends to another saga."""
    return f"{saga_id}:{_NOTE}:{version}"


# The names of steps that end as if something had been joined to them. A colon is put behind such a name, after which
# neither ":undo" nor a number is ever read as its own; all other names are joined as they are.
_READS_AS_MORE = re.compile(r".*:(undo|[0-9]*)", re.DOTALL)
# A step of this name has its first effect under its own name, and the next ones where no note is.
_NOTE = "note"
