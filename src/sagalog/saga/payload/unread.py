"""Why a value could not be read, as text with paths and types, but never the value, which may be a secret."""

import re
from typing import Any

import msgspec

from sagalog.saga.failure import type_of
from sagalog.saga.payload.anatomy import named
from sagalog.saga.payload.pydantic_words import ANOTHER, in_words

MOST = 3
# msgspec puts the value into these two texts.
_SHOWN = re.compile(r"^Invalid (enum )?value .*", re.DOTALL)
_AT = re.compile(r" - at `(\$[^`]*)`$")
_GOT = re.compile(r"^Expected (.*), got (.*)$", re.DOTALL)
_FIELD = re.compile(r"^Object (missing required|contains unknown) field `(.*)`$", re.DOTALL)


class Unread(ValueError):
    """Raised for JSON inside other JSON that could not be read; `why` holds the cause, the text says nothing of it."""

    def __init__(self, why: Exception) -> None:
        super().__init__("it could not be read")
        self.why = why


def why_unread(problem: BaseException) -> str:
    """Return why something could not be read, without its value."""
    if isinstance(problem, msgspec.MsgspecError):
        return _by_msgspec(problem)
    return _by_pydantic(problem, "$") if hasattr(problem, "errors") else type_of(problem)


def _by_msgspec(problem: msgspec.MsgspecError) -> str:
    """Return msgspec's error as text: the path, and what is expected there."""
    text = str(problem)
    path = _AT.search(text)
    at = path[1] if path else "$"
    cause = problem.__cause__
    if isinstance(cause, Unread):
        return _by_pydantic(cause.why, at)
    if cause is not None:
        # The exception comes from the user's code, such as a `__post_init__`, so only its type is named.
        return f"{at}: {type_of(cause)} was raised when it was made"
    if not isinstance(problem, msgspec.ValidationError):
        return text
    said = _AT.sub("", text)
    if _SHOWN.match(said) is not None:
        return f"{at}: {ANOTHER}"
    if said == "Number out of range":
        return f"{at}: a number larger than what is declared there can hold; declare an int, or a Decimal"
    if (field := _FIELD.match(said)) is not None:
        return (
            f"{at}{named(field[2])}: {'it is missing' if field[1].startswith('missing') else 'there is no such field'}"
        )
    said = _GOT.sub(r"expected \1, found \2", said).replace("`", "")
    return f"{at}: {said[:1].lower()}{said[1:]}"


def _by_pydantic(problem: Any, before: str) -> str:
    """Return pydantic's errors as text, by path and type; pydantic's own texts hold values, or the user's words."""
    try:
        found: list[dict[str, Any]] = problem.errors(include_url=False, include_context=False)
    except Exception:
        return f"{before}: {type_of(problem)}"
    texts = [f"{before}{''.join(map(named, one['loc']))}: {in_words(one)}" for one in found[:MOST]]
    if len(found) > MOST:
        texts.append(f"and {len(found) - MOST} more")
    return ", ".join(texts)
