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


# The names of steps that end as if something had been joined to them already.
_READS_AS_MORE = re.compile(r".*:(undo|[0-9]*)", re.DOTALL)
_JOINED = re.compile(r"(:undo)?(?:|:[0-9]+)")
_JOINED_TO_NOTE = re.compile(r"(:undo)?(?:|:?:[0-9]+)")
# A step of this name has its first effect under its own name, and the next ones where no note is.
_NOTE = "note"


def effect_id(
    saga_id: str, step: str, direction: Literal["action", "compensation"], number: int, marked: bool = True
) -> str:
    """Return the identity of an effect: an idempotency key, and the id of the command that asks for it.

    A pure function of the saga, the step, the direction, and how many effects of this kind came before (`number`). No
    two have the same one, whatever the steps are called, in a saga that is `marked`: a colon is put behind a name after
    which ":undo" or a number could be its own. All other names are joined as they are.
    """
    if marked and (_READS_AS_MORE.fullmatch(step) or (number and direction == "action" and step == _NOTE)):
        step += ":"
    undo = ":undo" if direction == "compensation" else ""
    return f"{saga_id}:{step}{undo}:{number + 1}" if number else f"{saga_id}:{step}{undo}"


def needs_mark(step: str) -> bool:
    """Tell whether some identity of a step of this name is another one in a saga that is marked."""
    return step == _NOTE or _READS_AS_MORE.fullmatch(step) is not None


def effect_of(saga_id: str, step: str, identity: str) -> tuple[str, bool] | None:
    """Return the first action of the step that an effect's identity belongs to, and whether the effect undoes it.

    None if it is no identity of an effect of this step. The identity says itself whether its saga is marked.
    """
    rest_of = _JOINED_TO_NOTE if step == _NOTE else _JOINED
    for marked in (True, False):
        action = effect_id(saga_id, step, "action", 0, marked)
        found = rest_of.fullmatch(identity, len(action)) if identity.startswith(action) else None
        if found is not None:
            return action, found[1] is not None
    return None


def note_id(saga_id: str, version: int) -> str:
    """Return the identity of the note that the event of this version sends to another saga."""
    return f"{saga_id}:{_NOTE}:{version}"
