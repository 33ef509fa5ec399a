"""Ids, keys and names at the door: the same rules for every store."""

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
