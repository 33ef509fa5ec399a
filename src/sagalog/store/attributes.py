"""Conditions on the attributes of sagas: how they are written, and which rows meet them. They know no store.

A saga without an attribute meets no condition on it. Two numbers are compared as numbers, exactly; texts by their code
points; a text and a number are never in an order.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, Literal, cast, get_args

from msgspec import Struct

from sagalog.errors import InvalidInput, InvalidQuery
from sagalog.saga.attributes import NAME, AttributeValue, attribute_data, number_of, text_of
from sagalog.saga.options import shown
from sagalog.store.rows import AttributeRow

Operator = Literal["=", "!=", "<", "<=", ">", ">="]
OPERATORS: Final[tuple[Operator, ...]] = get_args(Operator)
EXAMPLE: Final = "write for example customer=c-1 or amount>=100"
MOST_CONDITIONS: Final = 32
# How many characters a whole number of 64 bits has at most.
LONGEST_WHOLE: Final = 20

_WRITTEN = re.compile(r"\s*(.*?)\s*(!=|<=|>=|=|<|>)(.*)", re.DOTALL)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class Wanted(Struct, frozen=True):
    """One condition. A value equals it if it has the `text` or is the `number`.

    With a number, an order is that of numbers; otherwise that of texts. What a person has typed, such as `19.90`, may
    be meant as a text or as a number, so it has both.
    """

    name: str
    operator: Operator
    text: str | None
    number: int | float | None

    def is_met_by(self, row: AttributeRow | None) -> bool:
        """Tell whether the row of a saga's attribute meets the condition; None: the saga has no such attribute."""
        if row is None:
            return False
        equal = (self.text is not None and row.value == self.text) or (
            self.number is not None and row.number is not None and row.number == self.number
        )
        match self.operator:
            case "=":
                return equal
            case "!=":
                return not equal
            case _:
                return self._is_in_order(row)

    def _is_in_order(self, row: AttributeRow) -> bool:
        value: Any = row.number if self.number is not None else row.value
        limit: Any = self.number if self.number is not None else self.text
        if value is None or (self.number is None and row.number is not None):
            return False
        match self.operator:
            case "<":
                return bool(value < limit)
            case "<=":
                return bool(value <= limit)
            case ">":
                return bool(value > limit)
            case _:
                return bool(value >= limit)


# A condition as a program writes it, such as ("amount", ">=", 100), or as it was typed.
Condition = tuple[str, Operator, AttributeValue] | Wanted


def typed(text: str) -> Wanted:
    """Return the condition that a person has typed, such as `amount>=100`; raises `InvalidQuery`."""
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise InvalidQuery(f"expected NAME=VALUE, or one of != < <= > >= between, found {shown(text)}; {EXAMPLE}")
    name, operator, value = _checked_name(found[1]), cast(Operator, found[2]), found[3]
    if value[:1] in ("<", "=", ">"):
        raise InvalidQuery(f"expected one of {' '.join(OPERATORS)} after {name}, found {shown(text)}; {EXAMPLE}")
    return typed_value(name, operator, value)


def typed_value(name: str, operator: Operator, value: str) -> Wanted:
    """Return the condition on an attribute with a value that a person has typed; raises `InvalidQuery`."""
    if not _NUMBER.fullmatch(value):
        return Wanted(name, operator, _text(name, value), None)
    number = _typed_number(name, value)
    # The text of a number finds the number, too; another way to write it finds it as well.
    needed = operator not in ("=", "!=") or text_of(number) != value
    return Wanted(name, operator, _text(name, value), number if needed else None)


def _typed_number(name: str, value: str) -> int | float:
    whole = int(value) if value.lstrip("-").isdecimal() and len(value) <= LONGEST_WHOLE else None
    fits = whole is not None and -(2**63) <= whole < 2**63
    return cast("int | float", _data(name, whole if fits else float(value)))


def _text(name: str, value: str) -> str:
    return cast(str, _data(name, value))


def wanted_of(condition: object) -> Wanted:
    """Return a condition that a program has written, checked; raises `InvalidQuery`."""
    if isinstance(condition, Wanted):
        return condition
    is_list = isinstance(condition, list | tuple)
    parts = list(cast("Sequence[object]", condition)) if is_list else []
    if len(parts) != 3:
        raise InvalidQuery(
            f"attributes: expected conditions such as ('customer', '=', 'c-1') or ('amount', '>=', 100), found "
            f"{shown(condition)} among them"
        )
    name, operator, value = parts
    checked = _checked_name(name)
    if operator not in OPERATORS:
        raise InvalidQuery(f"attributes: expected one of {' '.join(OPERATORS)} for {checked}, found {shown(operator)}")
    data = _data(checked, value)
    if data is None:
        raise InvalidQuery(f"attributes: expected a value to compare {checked} with, found None")
    number = number_of(data)
    return Wanted(checked, operator, text_of(data) if number is None else None, number)


def check_conditions(given: object) -> None:
    """Raise `InvalidQuery` for anything but a list of conditions."""
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        raise InvalidQuery(f"attributes: expected a list such as [('customer', '=', 'c-1')], found {shown(given)}")
    conditions = [wanted_of(one) for one in cast("Sequence[object]", given)]
    if len(conditions) > MOST_CONDITIONS:
        raise InvalidQuery(f"attributes: expected at most {MOST_CONDITIONS} conditions, found {len(conditions)}")


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InvalidQuery(
            f"expected the name of an attribute, of letters, digits and underscores, found {shown(name)}; {EXAMPLE}"
        )
    return str.__str__(name)


def _data(name: str, value: object) -> str | int | float | bool | None:
    try:
        return attribute_data(value, f"attribute {name}")
    except InvalidInput as problem:
        raise InvalidQuery(str(problem)) from None
