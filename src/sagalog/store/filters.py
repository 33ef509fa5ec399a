"""Filters of sagas as values: whom they are met by, as a pure function of a row, and how they are written.

A filter is true or false of a saga, never neither. What a saga has not (an error, an owner, an attribute) meets no
comparison; so `not` of that comparison is met, and `!=` is `not =`. Times are microseconds since the epoch: a filter
has no age, for what is older than an hour is another saga tomorrow. Texts are alike (`~`) whatever the case of a to z.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from operator import ge, gt, le, lt
from typing import Any, Final, Literal

from msgspec import Struct

from sagalog.store.attributes import Wanted
from sagalog.store.rows import AttributeRow, StatusRow

Kind = Literal["text", "status", "number", "time"]
Comparing = Literal["=", "<", "<=", ">", ">=", "~"]
Attribute = Callable[[str, str], AttributeRow | None]

# The fields of a filter: the column of each, and of what kind it is. `error` is the type and the text of the error.
FIELDS: Final[dict[str, tuple[str, Kind]]] = {
    "id": ("saga_id", "text"),
    "saga": ("saga_name", "text"),
    "saga_version": ("saga_version", "number"),
    "definition": ("definition", "text"),
    "key": ("saga_key", "text"),
    "run": ("run", "number"),
    "status": ("status", "status"),
    "step": ("current_step", "text"),
    "waiting_for": ("waiting_for", "text"),
    "waiting_until": ("waiting_until", "time"),
    "attempt": ("attempt", "number"),
    "error": ("error_type", "text"),
    "error_type": ("error_type", "text"),
    "error_text": ("error_text", "text"),
    "correlation_id": ("correlation_id", "text"),
    "causation_id": ("causation_id", "text"),
    "started": ("started_at", "time"),
    "updated": ("updated_at", "time"),
    "ended": ("ended_at", "time"),
    "deadline": ("deadline_at", "time"),
    "version": ("version", "number"),
    "owner": ("owner", "text"),
}
# Lengths of time until now, and the field whose time each is told of.
AGES: Final = {"age": "started", "idle": "updated"}
BEFORE_ATTRIBUTES: Final = "attribute."

_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Comparison(Struct, frozen=True, tag=True):
    """A comparison of one of `FIELDS` with a value; `= None` is met by a saga that has none."""

    field: str
    operator: Comparing
    value: str | int | None


class AttributeComparison(Struct, frozen=True, tag=True):
    """A comparison of an attribute, as `Wanted` is one; `~` is met by a value whose text holds `text`."""

    name: str
    operator: Comparing
    text: str | None
    number: int | float | None = None

    def wanted(self) -> Wanted | None:
        """Return the condition that means the same; None if there is none."""
        return None if self.operator == "~" else Wanted(self.name, self.operator, self.text, self.number)


class All(Struct, frozen=True, tag=True):
    """Met by what each of its parts is met by."""

    parts: "tuple[Filter, ...]"


class AnyOf(Struct, frozen=True, tag=True):
    """Met by what one of its parts is met by."""

    parts: "tuple[Filter, ...]"


class Not(Struct, frozen=True, tag=True):
    """Met by what its part is not met by."""

    part: "Filter"


Filter = Comparison | AttributeComparison | All | AnyOf | Not


def meets(wanted: Filter, row: StatusRow, attribute: Attribute) -> bool:
    """Tell whether a saga meets a filter; `attribute` finds a row by saga id and name."""
    match wanted:
        case All(parts):
            return all(meets(part, row, attribute) for part in parts)
        case AnyOf(parts):
            return any(meets(part, row, attribute) for part in parts)
        case Not(part):
            return not meets(part, row, attribute)
        case Comparison("error", "~", str(text)):
            return row.error_type is not None and is_like(f"{row.error_type} {row.error_text or ''}", text)
        case Comparison(field, operator, value):
            return _compares(getattr(row, FIELDS[field][0]), operator, value)
        case AttributeComparison(name):
            held, condition = attribute(row.saga_id, name), wanted.wanted()
            if condition is not None:
                return condition.is_met_by(held)
            return held is not None and is_like(held.value, wanted.text or "")


def is_like(text: str, part: str) -> bool:
    """Tell whether a text holds another one, whatever the case of a to z: of these alone every database knows it."""
    return _lowered(part) in _lowered(text)


def _lowered(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass").lower()


def _compares(held: Any, operator: Comparing, value: Any) -> bool:
    if operator == "=":
        return bool(held == value)
    if held is None or value is None:
        return False
    return is_like(held, value) if operator == "~" else _ORDERS[operator](held, value)


def attributes_in(wanted: Filter) -> Iterator[str]:
    """Yield the names of the attributes that a filter compares."""
    match wanted:
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from attributes_in(part)
        case Not(part):
            yield from attributes_in(part)
        case AttributeComparison(name):
            yield name
        case Comparison():
            return


def written(wanted: Filter) -> str:
    """Return the text of a filter, which is read as the same filter whenever and wherever it is."""
    match wanted:
        case All(parts):
            return " and ".join(map(_within, parts))
        case AnyOf(parts):
            return _listed(parts) or " or ".join(map(_within, parts))
        case Not(part):
            return f"not {_within(part)}"
        case Comparison(field, operator, value):
            return f"{field}{operator}{_value(field, value)}"
        case AttributeComparison(name, operator, text, number):
            return f"{BEFORE_ATTRIBUTES}{name}{operator}{_quoted(text or '') if number is None else text}"


def _within(part: Filter) -> str:
    return f"({written(part)})" if isinstance(part, All | AnyOf) else written(part)


def _listed(parts: tuple[Filter, ...]) -> str:
    """Return the text of parts that all compare one field with `=`; nothing if they do not."""
    equal = [one for one in parts if isinstance(one, Comparison) and one.operator == "="]
    if len(equal) < len(parts) or len({one.field for one in equal}) != 1:
        return ""
    return f"{equal[0].field} in ({', '.join(_value(one.field, one.value) for one in equal)})"


def _value(field: str, value: str | int | None) -> str:
    if value is None:
        return "none"
    if isinstance(value, str):
        return value if FIELDS[field][1] == "status" else _quoted(value)
    if FIELDS[field][1] == "time":
        return (_EPOCH + timedelta(microseconds=value)).isoformat(timespec="microseconds")
    return str(value)


def _quoted(text: str) -> str:
    escaped = text.replace('"', '""')
    return f'"{escaped}"'
