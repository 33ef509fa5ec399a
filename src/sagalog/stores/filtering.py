"""Filters of sagas in SQL: joined of the comparisons of a dialect, with every value beside the text and none in it.

It runs nothing. The comparisons stand in the `filters.sql` of each database.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

from sagalog.store.filters import FIELDS, All, AnyOf, AttributeComparison, Comparison, Filter, Not


class Composed(NamedTuple):
    """The text of a filter with a mark for each value, and the values in their order."""

    text: str
    values: Sequence[Any]


class Filters:
    """The comparisons of a dialect; `number` gives the form in which it takes a number that is exact."""

    def __init__(self, blocks: Mapping[str, str], number: Callable[[float | None], Any]) -> None:
        self._blocks = blocks
        self._number = number

    def composed(self, wanted: Filter, mark: Callable[[int], str]) -> Composed:
        """Return a filter as SQL; `mark` gives what stands for the value of a number, counted from 0."""
        text, values = self._joined(wanted)
        first, *others = text.split("?")
        return Composed(first + "".join(mark(n) + more for n, more in zip(count(), others, strict=False)), values)

    def _joined(self, wanted: Filter) -> tuple[str, list[Any]]:
        match wanted:
            case All(parts) | AnyOf(parts):
                found = [self._joined(part) for part in parts]
                between = " AND " if isinstance(wanted, All) else " OR "
                return f"({between.join(text for text, _ in found)})", [one for _, values in found for one in values]
            case Not(part):
                text, values = self._joined(part)
                return f"NOT ({text})", values
            case Comparison():
                return self._of_a_column(wanted)
            case AttributeComparison():
                return self._of_an_attribute(wanted)

    def _of_a_column(self, wanted: Comparison) -> tuple[str, list[Any]]:
        column, kind = FIELDS[wanted.field]
        if wanted.value is None:
            return self._block("is_none", column), []
        if wanted.operator == "~":
            return self._block("error_has_text" if wanted.field == "error" else "has_text", column), [wanted.value]
        name = "in_order" if kind in ("number", "time") else "is_text"
        return self._block(name, column, wanted.operator), [wanted.value]

    def _of_an_attribute(self, wanted: AttributeComparison) -> tuple[str, list[Any]]:
        name, number = wanted.name, self._number(wanted.number)
        if wanted.operator == "~":
            return self._block("attribute_has_text"), [name, wanted.text]
        if wanted.operator == "=":
            return self._block("attribute_is"), [name, wanted.text, number]
        if wanted.number is None:
            return self._block("attribute_in_texts", operator=wanted.operator), [name, wanted.text]
        return self._block("attribute_in_numbers", operator=wanted.operator), [name, number]

    def _block(self, name: str, column: str = "", operator: str = "") -> str:
        return self._blocks[name].replace("{column}", column).replace("{operator}", operator)
