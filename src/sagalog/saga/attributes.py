"""Attributes of a saga: small values with names, by which it is found. What may be one, and what is recorded. Pure.

They say nothing about the course of a saga: a mistake in a user's function for a later result is recorded beside the
event, and the saga goes on. `docs/decisions/0043-attributes.md` has the reasons.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, cast

from msgspec import Raw
from msgspec.structs import replace

from sagalog.errors import InvalidInput
from sagalog.harmless import harmless
from sagalog.saga import events as e
from sagalog.saga.callables import plain_answer
from sagalog.saga.definition import Definition
from sagalog.saga.failure import Redact, let_interrupts_through, named
from sagalog.saga.identifiers import exact_text
from sagalog.saga.payload.payload_type import PayloadType
from sagalog.saga.state import SagaState

AttributeValue = str | int | float | bool | Decimal | date | Enum | None
# What a user's function returns. None: the saga has no such attribute (any more).
Attributes = Mapping[str, AttributeValue]

MOST_ATTRIBUTES = 32
# In bytes of UTF-8; `docs/decisions/0031-what-an-index-holds.md` says why there is a limit.
LONGEST_TEXT = 500
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_SHOWN = 80

Recorded = dict[str, e.AttributeData]


def checked(given: object, known: Mapping[str, e.AttributeData] | None = None) -> Recorded:
    """Return what is recorded of the attributes that a user's function returned; raises `InvalidInput`.

    `known` are those that the saga has already. What removes an attribute that it has not is left out.
    """
    held = known or {}
    if not isinstance(given, Mapping):
        raise InvalidInput(f"expected attributes such as {{'customer': 'c-1'}}, found {_kind(given)}")
    found: Recorded = {}
    for named_as, value in cast("Mapping[object, object]", given).items():
        if not isinstance(named_as, str) or not NAME.fullmatch(named_as):
            raise InvalidInput(
                "expected names of attributes like identifiers, up to 64 letters, digits and underscores, found "
                f"{'another text' if isinstance(named_as, str) else _kind(named_as)}"
            )
        name = exact_text(named_as)
        data = attribute_data(value, f"attribute {name}")
        if data is not None or name in held:
            found[name] = data
    number = len({name for name, data in {**held, **found}.items() if data is not None})
    if number > MOST_ATTRIBUTES:
        raise InvalidInput(f"expected at most {MOST_ATTRIBUTES} attributes of a saga, found {number}")
    return found


def attribute_data(value: object, what: str) -> e.AttributeData:
    """Return the plain value that is recorded and compared; raises `InvalidInput`, which begins with `what`.

    A number without a fraction is an `int`, so that what is equal is recorded alike. Dates are text by ISO 8601, and
    moments are in UTC with all six digits, so that their order is that of time.
    """
    if isinstance(value, Enum):
        value = value.value
    match value:
        case None | bool():
            return value
        case str():
            return _text(exact_text(value), what)
        case int():
            return _whole(int(value), what)
        case float():
            return _number(float(value), what)
        case Decimal():
            return _of_decimal(value, what)
        case datetime():
            if value.tzinfo is None:
                raise InvalidInput(f"{what}: expected a moment with a time zone, found one without")
            return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
        case date():
            return value.isoformat()
        case _:
            raise InvalidInput(
                f"{what}: expected a text, a number, True, False, a date, an enum of these, or None, found "
                f"{_kind(value)}"
            )


def _text(value: str, what: str) -> str:
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidInput(f"{what}: expected text, found lone surrogates in it; remove them") from None
    if "\0" in value:
        raise InvalidInput(f"{what}: expected text, found NUL in it; remove it")
    if size > LONGEST_TEXT:
        raise InvalidInput(f"{what}: expected at most {LONGEST_TEXT} bytes of UTF-8, found {size:,}; shorten it")
    return value


def _whole(value: int, what: str) -> int:
    if not -(2**63) <= value < 2**63:
        raise InvalidInput(f"{what}: expected a whole number of 64 bits, found a larger one; give it as text")
    return value


def _number(value: float, what: str) -> int | float:
    if not math.isfinite(value):
        raise InvalidInput(f"{what}: expected a finite number, found none")
    return int(value) if value.is_integer() and -(2**63) <= value < 2**63 else value


def _of_decimal(value: Decimal, what: str) -> int | float:
    found = _number(float(value), what)
    if Decimal(repr(found)) != value:
        raise InvalidInput(
            f"{what}: expected a decimal of at most 15 digits, for that is what a number of 64 bits holds, found "
            "one of more; round it, or give it as text"
        )
    return found


def _kind(value: object) -> str:
    """Return the type of a value: the value itself may be one that no error is to repeat."""
    return f"one of type {harmless(type(value).__name__, _SHOWN)}"


def text_of(data: str | float | bool) -> str:
    """Return the text of a value, as the tables have it: two numbers have the same text only if they are equal."""
    if isinstance(data, bool):
        return "true" if data else "false"
    return data if isinstance(data, str) else repr(data)


def number_of(data: str | float | bool) -> int | float | None:
    """Return the number that a value is; None for any other, also for a truth value."""
    return None if isinstance(data, str | bool) else data


def brought(
    function: Callable[[Any], Any] | None,
    value: Any,
    redact: Redact | None,
    known: Mapping[str, e.AttributeData] | None = None,
    step: str | None = None,
) -> tuple[Recorded, e.ErrorInfo | None]:
    """Return the attributes that a user's function finds in a value; without them and with the error if it fails."""
    if function is None:
        return {}, None
    try:
        return checked(plain_answer(function(value), "attributes="), known), None
    except BaseException as problem:
        return {}, _mistake(problem, redact, step)


def _mistake(problem: BaseException, redact: Redact | None, step: str | None) -> e.ErrorInfo:
    let_interrupts_through(problem)
    kind, text = named(problem, redact)
    return e.error_from("fault", kind, f"in attributes=: {text}", step)


def attributed(definition: Definition, state: SagaState | None, event: e.SagaEvent) -> e.SagaEvent:
    """Return an event with the attributes that its result brings, or with the error that was found instead."""
    if state is None or not isinstance(event, e.StepSucceeded | e.EventReceived | e.ActionTaken):
        return event
    source = definition.attribute_source(event)
    if source is None:
        return event
    function, kind, data = source
    step = None if isinstance(event, e.EventReceived) else event.step
    found, error = _read_and_asked(function, kind, data, definition.redact, state.attributes, step)
    return replace(event, attributes=found, attributes_error=error) if found or error is not None else event


def _read_and_asked(
    function: Callable[[Any], Any],
    kind: PayloadType,
    data: Raw,
    redact: Redact | None,
    known: Mapping[str, e.AttributeData],
    step: str | None,
) -> tuple[Recorded, e.ErrorInfo | None]:
    try:
        value = kind.read(data)
    except BaseException as problem:
        return {}, _mistake(problem, redact, step)
    return brought(function, value, redact, known, step)
