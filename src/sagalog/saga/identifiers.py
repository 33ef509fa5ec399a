"""Ids, keys and names at the door: the same rules for every store."""

from typing import Literal

from sagalog.errors import InvalidIdentifier
from sagalog.harmless import CONTROLS

# In bytes of UTF-8, as an index counts: PostgreSQL's rows of one hold 2,704 bytes, and the widest of ours joins two ids
# and the name of a consumer. `docs/decisions/0031-what-an-index-holds.md` has the sums.
LONGEST_ID = 500
LONGEST_NAME = 200
LONGEST_REASON = 4000


def check_identifier(value: str, what: str, longest: int = LONGEST_ID) -> str:
    """Return `value` if every store can keep it and its indexes can hold it.

    Raises `InvalidIdentifier` for anything but 1 to `longest` bytes of UTF-8, and for what could forge the text beside
    it wherever it is shown: controls, line separators, marks that turn the direction of text, lone surrogates. `what`
    names the value in the text.
    """
    _check_plain(value, what)
    size = len(value) if value.isascii() else len(value.encode())
    if not 1 <= size <= longest:
        raise InvalidIdentifier(f"{what}: expected 1 to {longest} bytes of UTF-8, found {size:,}")
    return value


def check_reason(value: str, what: str) -> str:
    """Return a person's reason, which no index holds: 1 to 4,000 characters, as harmless as an id."""
    _check_plain(value, what)
    if not 1 <= len(value) <= LONGEST_REASON:
        raise InvalidIdentifier(f"{what}: expected 1 to {LONGEST_REASON} characters, found {len(value):,}")
    return value


def check_lookup(value: str, what: str) -> str:
    """Return an id or key that is only looked up: older versions stored longer ones, and ones with other characters.

    Raises `InvalidIdentifier` for what none of them can have stored.
    """
    if not isinstance(value, str):
        raise InvalidIdentifier(f"{what}: expected text, found {type(value).__name__}")
    if not 1 <= len(value) <= LONGEST_ID:
        raise InvalidIdentifier(f"{what}: expected 1 to {LONGEST_ID} characters, found {len(value):,}")
    for character in value:
        code = ord(character)
        if code < 32 or code == 127 or 0xD800 <= code <= 0xDFFF:
            raise InvalidIdentifier(f"{what}: expected plain text, found the character U+{code:04X}; remove it")
    return value


def _check_plain(value: str, what: str) -> None:
    if not isinstance(value, str):
        raise InvalidIdentifier(f"{what}: expected text, found {type(value).__name__}")
    if not value.isprintable() and (found := CONTROLS.search(value)) is not None:
        raise InvalidIdentifier(f"{what}: expected plain text, found the character U+{ord(found[0]):04X}; remove it")


def effect_id(saga_id: str, step: str, direction: Literal["action", "compensation"], number: int) -> str:
    """Return the identity of an effect: an idempotency key, and the id of the command that asks for it.

    A pure function of the saga, the step, the direction, and how many effects of this kind came before (`number`).
    """
    undo = ":undo" if direction == "compensation" else ""
    return f"{saga_id}:{step}{undo}:{number + 1}" if number else f"{saga_id}:{step}{undo}"
