"""Why a value cannot be written, in one sentence: the path and the type, and never the value itself."""

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, Final, cast

from sagalog.saga.payload.anatomy import class_of, first_part, smallest

# Python's default limit of digits for converting a whole number to text and back.
MOST_DIGITS: Final = 4_300
_MOST_BITS: Final = 14_284

_HALF: Final = (
    "text with half of a surrogate pair in it, which cannot be stored as JSON; leave it out, or decode the text with "
    "errors='replace' where it comes from"
)
_TOO_LONG: Final = (
    f"a whole number of more than {MOST_DIGITS:,} digits, which cannot be stored as JSON; give it as text, and declare "
    "that"
)
_PLAIN: Final = (str, int, float, bytes)


def why_unkept(value: Any, is_wrong: Callable[[Any, Any, Any], bool]) -> str:
    """Return the path and the reason for the smallest part that cannot be written; `is_wrong` finds it."""
    path, part = smallest(value, is_wrong)
    return f"{path}: {_of(part)}"


def too_long(value: Any) -> str | None:
    """Return the path and the reason for the first whole number with too many digits; None if there is none."""
    path = first_part(value, _has_too_many_digits)
    return None if path is None else f"{path}: {_TOO_LONG}"


def _of(part: Any) -> str:
    kind = class_of(part)
    if issubclass(kind, str) and _has_half(part):
        return _HALF
    if _has_too_many_digits(part):
        return _TOO_LONG
    if issubclass(kind, Mapping):
        return next(_of_keys(cast("Mapping[Any, Any]", part)), _of_a_kind(kind))
    return _of_a_kind(kind)


def _of_a_kind(kind: Any) -> str:
    plain = next((one for one in _PLAIN if issubclass(kind, one) and kind is not one), None)
    if plain is None or issubclass(kind, Enum):
        return f"{kind.__name__}, which cannot be stored as JSON; give something of a type that can be kept"
    return (
        f"{kind.__name__}, which cannot be stored as JSON, for {plain.__name__} would be read back, of which it is a "
        f"subclass; give {plain.__name__}(...) of it"
    )


def _of_keys(given: Mapping[Any, Any]) -> Iterator[str]:
    for key in given:
        kind = class_of(key)
        if issubclass(kind, str) and _has_half(key):
            yield f"a key with {_HALF.removeprefix('text with ')}"
        elif _has_too_many_digits(key):
            yield f"a key is {_TOO_LONG}"
        elif not issubclass(kind, str | int) or kind is bool:
            yield f"a key is {kind.__name__}, which cannot be stored as JSON; let the keys be text or whole numbers"


def _has_half(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def _has_too_many_digits(part: Any) -> bool:
    return issubclass(class_of(part), int) and int.bit_length(part) > _MOST_BITS
