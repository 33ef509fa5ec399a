"""Checks of ids, keys and names when they come in: the same rules for every store."""

import re
import unicodedata
from typing import Any, Literal

from sagalog.errors import InvalidIdentifier
from sagalog.harmless import CONTROLS, is_plain

# In bytes of UTF-8, as an index counts: an index row of PostgreSQL holds 2,704 bytes, and our widest one joins two ids
# and the name of a consumer. `docs/decisions/0031-what-an-index-holds.md` has the sums.
LONGEST_ID = 500
LONGEST_NAME = 200
LONGEST_REASON = 4000
# U+2800, the empty Braille cell: it is invisible, but Python counts it as printable.
_BLANK = "\u2800"


def check_identifier(value: str, what: str, longest: int = LONGEST_ID) -> str:
    """Return `value` if every store can keep it and its indexes can hold it.

    Raises `InvalidIdentifier` unless it is 1 to `longest` bytes of UTF-8. It is also raised for characters that could
    forge the text around them (controls, line separators, marks of text direction, lone surrogates), and for invisible
    ones, because two ids would look the same. `what` names the value in the error.
    """
    text = _plain(value, what)
    size = len(text) if text.isascii() else len(text.encode())
    if not 1 <= size <= longest:
        raise InvalidIdentifier(f"{what}: expected 1 to {longest} bytes of UTF-8, found {size:,}")
    return text


def check_reason(value: str, what: str) -> str:
    """Return a person's reason, which is in no index: 1 to 4,000 characters, otherwise checked like an id."""
    text = _plain(value, what)
    if not 1 <= len(text) <= LONGEST_REASON:
        raise InvalidIdentifier(f"{what}: expected 1 to {LONGEST_REASON} characters, found {len(text):,}")
    return text


def check_lookup(value: str, what: str) -> str:
    """Return an id or key for a lookup: older versions stored longer ones, and ones with other characters.

    Raises `InvalidIdentifier` for a value that no version can have stored.
    """
    text = _text(value, what)
    if not 1 <= len(text) <= LONGEST_ID:
        raise InvalidIdentifier(f"{what}: expected 1 to {LONGEST_ID} characters, found {len(text):,}")
    for character in text:
        code = ord(character)
        if code < 32 or code == 127 or 0xD800 <= code <= 0xDFFF:
            raise InvalidIdentifier(f"{what}: expected plain text, found the character U+{code:04X}; remove it")
    return text


def check_recorded(value: str, what: str) -> str:
    """Return a key that an existing saga may have, whichever version took it; a new saga's key is checked again.

    Raises `InvalidIdentifier` for a key that no version took; the error states the rule for new keys.
    """
    try:
        return check_lookup(value, what)
    except InvalidIdentifier:
        return check_identifier(value, what)


def exact_text(value: str) -> str:
    """Return a text as a plain `str`: a text enum, or another subclass of `str`, gives the characters it holds.

    A subclass may override how it is shown and compared, but ids have to be the same everywhere.
    """
    return value if type(value) is str else str.__str__(value)


def as_text(value: Any) -> Any:
    """Return a text as a plain `str`; anything else unchanged, so that the caller can refuse it with its own error."""
    return exact_text(value) if isinstance(value, str) else value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise InvalidIdentifier(f"{what}: expected text, found {type(value).__name__}")
    return exact_text(value)


def _plain(value: object, what: str) -> str:
    """Return a text without forging or invisible characters; raises `InvalidIdentifier` for any other."""
    text = _text(value, what)
    if text.isascii() and text.isprintable() and not text.isspace():
        return text
    if not is_plain(text) and (found := CONTROLS.search(text)) is not None:
        raise InvalidIdentifier(f"{what}: expected plain text, found the character U+{ord(found[0]):04X}; remove it")
    if text.replace(_BLANK, " ").isspace():
        raise InvalidIdentifier(f"{what}: expected text that can be seen, found only blanks")
    if text and unicodedata.category(text[0])[0] == "M":
        raise InvalidIdentifier(
            f"{what}: expected plain text, found U+{ord(text[0]):04X} at its beginning, which is drawn onto whatever "
            "stands before it; remove it"
        )
    return text


# Names of steps that end like an identity, with ":undo" or a number.
_READS_AS_MORE = re.compile(r".*:(undo|[0-9]*)", re.DOTALL)
_JOINED = re.compile(r"(:undo)?(?:|:[0-9]+)")
_JOINED_TO_NOTE = re.compile(r"(:undo)?(?:|:?:[0-9]+)")
# Later effects of a step of this name would have the ids of notes (see `note_id`), so they are marked.
_NOTE = "note"


def effect_id(
    saga_id: str, step: str, direction: Literal["action", "compensation"], number: int, marked: bool = True
) -> str:
    """Return the identity of an effect: its idempotency key, and the id of the command that asks for it.

    It depends only on the saga, the step, the direction, and `number`: how many effects of this kind came before. In
    a saga that is `marked`, all identities differ whatever the steps are called: a colon is added to a name that ends
    with ":undo" or a number. All other names are used as they are.
    """
    if marked and (_READS_AS_MORE.fullmatch(step) or (number and direction == "action" and step == _NOTE)):
        step += ":"
    undo = ":undo" if direction == "compensation" else ""
    return f"{saga_id}:{step}{undo}:{number + 1}" if number else f"{saga_id}:{step}{undo}"


def needs_mark(step: str) -> bool:
    """Tell whether marking a saga would change some identity of a step of this name."""
    return step == _NOTE or _READS_AS_MORE.fullmatch(step) is not None


def effect_of(saga_id: str, step: str, identity: str) -> tuple[str, bool] | None:
    """Return the identity of the step's first action, and whether the given effect undoes the step.

    None if `identity` is no effect of this step. Whether the saga is marked can be seen from `identity` itself.
    """
    rest_of = _JOINED_TO_NOTE if step == _NOTE else _JOINED
    for marked in (True, False):
        action = effect_id(saga_id, step, "action", 0, marked)
        found = rest_of.fullmatch(identity, len(action)) if identity.startswith(action) else None
        if found is not None:
            return action, found[1] is not None
    return None


# A part's number has at most so many digits.
_DIGITS = 6


def part_name(step: str, number: int) -> str:
    """Return the name of the part of `step` for element `number`, from 0: `ship_line[0]`."""
    return f"{step}[{number}]"


def part_of(name: str) -> tuple[str, int] | None:
    """Return the step and the number of a part's name; None for a name that is not of that form."""
    if name[-1:] != "]":
        return None
    step, _, digits = name[:-1].rpartition("[")
    if not step or not digits.isdecimal() or not digits.isascii() or len(digits) > _DIGITS:
        return None
    return (step, int(digits)) if digits[0] != "0" or digits == "0" else None


def note_id(saga_id: str, version: int) -> str:
    """Return the id of the note that the event of this version sends to another saga."""
    return f"{saga_id}:{_NOTE}:{version}"
