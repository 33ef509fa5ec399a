"""Texts for pydantic's error types, in plain words; pydantic itself is not imported.

Pydantic's own texts hold values, or words of the user's validators, so only the error's type is used.
"""

from collections.abc import Mapping
from typing import Any, Final

# By the first part of an error type, such as `string_type` or `int_parsing`.
_EXPECTED: Final = {
    "string": "text", "bytes": "bytes", "int": "a whole number", "float": "a number", "decimal": "a decimal number",
    "complex": "a complex number", "bool": "true or false", "list": "a list", "tuple": "a list", "set": "a list",
    "frozen_set": "a list", "iterable": "a list", "dict": "an object", "mapping": "an object", "model": "an object",
    "model_attributes": "an object", "dataclass": "an object", "date": "a date", "datetime": "a date and a time",
    "time": "a time of day", "time_delta": "a duration", "uuid": "a UUID", "url": "a URL",
}  # fmt: skip
_MISSING: Final = "it is missing"
_UNKNOWN: Final = "there is no such field"
ANOTHER: Final = "it is none of the values that are allowed"
_WRONG: Final = {
    "missing": _MISSING, "missing_argument": _MISSING, "missing_keyword_only_argument": _MISSING,
    "extra_forbidden": _UNKNOWN, "unexpected_keyword_argument": _UNKNOWN,
    "value_error": "a validator refused it", "assertion_error": "a validator refused it",
    "none_required": "expected null, found a value",
    "literal_error": ANOTHER, "enum": ANOTHER,
    "union_tag_invalid": "its tag names no type that is allowed", "union_tag_not_found": "it has no tag",
    "greater_than": "it is too small", "greater_than_equal": "it is too small",
    "less_than": "it is too large", "less_than_equal": "it is too large", "multiple_of": "it is no multiple",
    "finite_number": "it is no finite number",
    "too_short": "it has too few elements", "too_long": "it has too many elements",
    "string_too_short": "it is too short", "string_too_long": "it is too long",
    "bytes_too_short": "it is too short", "bytes_too_long": "it is too long",
    "string_pattern_mismatch": "it does not match the pattern",
    "int_from_float": "expected a whole number, found one with a fraction",
    "decimal_max_digits": "it has too many digits", "decimal_max_places": "it has too many digits behind the point",
    "decimal_whole_digits": "it has too many digits before the point",
    "date_past": "it is not in the past", "date_future": "it is not in the future",
    "datetime_past": "it is not in the past", "datetime_future": "it is not in the future",
    "timezone_naive": "it has a time zone", "timezone_aware": "it has no time zone",
    "json_invalid": "it is not JSON",
}  # fmt: skip


def in_words(error: Mapping[str, Any]) -> str:
    """Return the meaning of a pydantic error; of the value that was found, only its type is named."""
    kind = str(error["type"])
    if kind in _WRONG:
        return _WRONG[kind]
    what, _, ending = kind.rpartition("_")
    expected = _EXPECTED.get(what)
    if expected is not None and ending == "type":
        return f"expected {expected}, found {type(error.get('input')).__name__}"
    if expected is not None and ending == "parsing":
        return f"expected {expected}, found what cannot be read as one"
    # An error type of a future pydantic, or of a user's own validator.
    return f"it was refused ({kind.replace('_', ' ')})"
