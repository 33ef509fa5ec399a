"""What a comparison in a filter means, by the kind of its field; what it cannot mean raises `ValueError`. Pure."""

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Final, NamedTuple, cast

from sagalog.saga.attributes import NAME
from sagalog.saga.options import shown
from sagalog.saga.transitions import STATUSES
from sagalog.store.attributes import Operator, Wanted, typed_value
from sagalog.store.filters import (
    AGES,
    BEFORE_ATTRIBUTES,
    FIELDS,
    AnyOf,
    AttributeComparison,
    Comparing,
    Comparison,
    Filter,
    Not,
)
from sagalog.store.quantities import parse_duration, parse_moment

_WHOLE = re.compile(r"-?[0-9]{1,19}")
# What is longer ago than something began before it.
_TURNED: Final[dict[str, Comparing]] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ORDERS: Final = ("<", "<=", ">", ">=")


class Value(NamedTuple):
    """A value as it was written; in quotes it is a text, whatever it looks like."""

    text: str
    in_quotes: bool

    @property
    def is_none(self) -> bool:
        """Tell whether it is the word for what a saga has not."""
        return not self.in_quotes and self.text.lower() == "none"


def known_field(name: str) -> str:
    """Return the name of a field; raises `ValueError` with the one that was most likely meant."""
    attribute = name.removeprefix(BEFORE_ATTRIBUTES)
    if name in FIELDS or name in AGES or (attribute != name and NAME.fullmatch(attribute)):
        return name
    before, dot, behind = name.partition(".")
    if dot and before.lower().startswith("attr"):
        meant = BEFORE_ATTRIBUTES + (behind if NAME.fullmatch(behind) else "customer")
        raise ValueError(f"expected an attribute such as {meant}, found {shown(name)}")
    named = {**{column: field for field, (column, _) in FIELDS.items() if field != "error"}}
    named |= {field: field for field in (*FIELDS, *AGES)}
    close = get_close_matches(name.lower(), named, 1)
    fields = ", ".join((*FIELDS, *AGES))
    advice = f"did you mean {named[close[0]]}?" if close else f"there are {fields}, and {BEFORE_ATTRIBUTES}NAME"
    raise ValueError(f"there is no field {shown(name)}; {advice}")


def compared(field: str, operator: str, value: Value, now: int) -> Filter:
    """Return the comparison of a field with a value; raises `ValueError`, or `InvalidQuery` of an attribute."""
    if value.is_none:
        return _with_none(field, operator)
    if field.startswith(BEFORE_ATTRIBUTES):
        return _attribute(field.removeprefix(BEFORE_ATTRIBUTES), operator, value)
    if field in AGES:
        _one_of(field, operator, _ORDERS, "is a length of time")
        return Comparison(AGES[field], _TURNED[operator], now - parse_duration(value.text))
    return _BY_KIND[FIELDS[field][1]](field, operator, value.text)


def _with_none(field: str, operator: str) -> Filter:
    if operator != "=":
        raise ValueError(
            f"none is what a saga has not: {field} is compared with it by = and !=; in quotes it is a text"
        )
    if field.startswith(BEFORE_ATTRIBUTES):
        # Every text holds the empty one.
        return Not(AttributeComparison(field.removeprefix(BEFORE_ATTRIBUTES), "~", ""))
    if field in AGES:
        raise ValueError(f"every saga has an {field}; compare it with a length of time such as 10m")
    return Comparison("error_type" if field == "error" else field, "=", None)


def _attribute(name: str, operator: str, value: Value) -> Filter:
    if operator == "~":
        return AttributeComparison(name, "~", value.text)
    meant = typed_value(name, cast(Operator, operator), value.text)
    if value.in_quotes:
        meant = Wanted(name, meant.operator, meant.text, None)
    return AttributeComparison(name, cast(Comparing, operator), meant.text, meant.number)


def _text(field: str, operator: str, text: str) -> Filter:
    _one_of(field, operator, ("=", "~"), "is a text")
    if field == "error" and operator == "=":
        return AnyOf((Comparison("error_type", "=", text), Comparison("error_text", "=", text)))
    return Comparison(field, cast(Comparing, operator), text)


def _status(field: str, operator: str, text: str) -> Filter:
    _one_of(field, operator, ("=",), "is one of a few")
    if text not in STATUSES:
        close = get_close_matches(text.lower(), STATUSES, 1)
        advice = f"did you mean {close[0]}?" if close else f"it is one of {', '.join(STATUSES)}"
        raise ValueError(f"there is no status {shown(text)}; {advice}")
    return Comparison(field, "=", text)


def _number(field: str, operator: str, text: str) -> Filter:
    _one_of(field, operator, ("=", *_ORDERS), "is a number")
    if not _WHOLE.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise ValueError(f"expected a whole number to compare {field} with, such as 3, found {shown(text)}")
    return Comparison(field, cast(Comparing, operator), int(text))


def _time(field: str, operator: str, text: str) -> Filter:
    _one_of(field, operator, _ORDERS, "is a time")
    return Comparison(field, cast(Comparing, operator), parse_moment(text))


def _one_of(field: str, operator: str, allowed: tuple[str, ...], what: str) -> None:
    if operator in allowed:
        return
    negated = [f"!{one}" for one in allowed if one in ("=", "~")]
    listed = " ".join((*allowed, *negated, *(["in"] if "=" in allowed else [])))
    raise ValueError(f"{field} {what}, which is compared by {listed}, found {operator}")


_BY_KIND: Final[dict[str, Callable[[str, str, str], Filter]]] = {
    "text": _text,
    "status": _status,
    "number": _number,
    "time": _time,
}
