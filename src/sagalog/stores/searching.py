"""How the SQL stores find sagas: which index is asked first. The SQL belongs to each dialect.

By the time of their start sagas are found through their ids, which tell it, and besides them all whose ids do not.

Indexes give ids of sagas that may match: who has a value, who has an error, who has a key. If one of them gives few,
these are asked for everything else. Before, a few of the newest sagas are looked at, and if no index gives few, some
more: if many sagas match, then enough of these do. Only then a walk begins, from the newest on: along those with an
error, or along those that meet a condition. So neither a value that most sagas have nor one that two have is slow.
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from sagalog.saga.transitions import OPEN
from sagalog.store import AttributeRow, Query, StatusRow
from sagalog.store.attributes import Wanted, wanted_of
from sagalog.store.filters import Filter
from sagalog.stores.narrowing import narrowed
from sagalog.stores.queries import Queries, can_be_there
from sagalog.stores.times import ids_between, least_of

WITH_AN_ERROR = frozenset(("compensating", "failed", "stuck", "abandoned"))
IN_TROUBLE = frozenset(("compensating", "stuck"))

# At most so many ids are looked up and asked for everything else; with more, a walk is faster.
MOST_CANDIDATES = 2_000
# How many ids of a walk are asked for everything else at a time.
LONGEST_PAGE = 5_000
# With so few there is no need to look for fewer.
FEW = 200
# How many of the newest sagas are looked at before a walk.
NEWEST = 1_000


class Searching(Queries):
    """The methods of the port that find sagas, through SQL blocks with the same names in every dialect."""

    @abstractmethod
    def _find(self, query: Query, least: str | None) -> list[StatusRow]:
        """Return the rows that match a query without attributes, newest first, and none with a lesser id."""

    @abstractmethod
    def _filtered(self, block: str, values: Mapping[str, Any], where: Filter) -> Sequence[Any]:
        """Return the rows that a block of sagas finds and that meet a filter."""

    @abstractmethod
    def _number(self, number: float | None) -> Any:
        """Return a number in the form in which a block takes one that is exact."""

    @abstractmethod
    def _ask_all(
        self, block: str, query: Query, wanted: Sequence[Wanted], saga_ids: Sequence[str] | None
    ) -> Sequence[Any]:
        """Return the rows that a block finds which asks for everything: the query, and all conditions."""

    @abstractmethod
    def _find_these(self, query: Query, saga_ids: Sequence[str]) -> list[StatusRow]:
        """Return those of these sagas that match a query without attributes and key, newest first."""

    def find(self, query: Query) -> list[StatusRow]:
        """Return the rows that match, newest first."""
        query = narrowed(query)
        if query.attributes:
            return self._find_attributed(query)
        least, most = ids_between(query.started_after, query.started_before)
        if (least is None and most is None) or query.key is not None:
            return self._find(query, None)
        misdated = self._some("some_misdated")
        if len(misdated) > MOST_CANDIDATES:
            # Ids say nothing here: sagas are read from the newest on.
            return self._find(query, None)
        rows = self._find(replace(query, before=least_of((query.before, most))), least)
        if misdated:
            found = {row.saga_id: row for row in (*rows, *self._find_these(query, sorted(misdated)))}
            rows = sorted(found.values(), key=lambda row: row.saga_id, reverse=True)[: query.limit]
        return rows

    def _look_for(self, block: str, query: Query, values: Mapping[str, Any]) -> Sequence[Any]:
        """Return the rows that a block finds, given the values of a query, and that meet its filter."""
        if query.where is None:
            return self._look(block, **values)
        return self._filtered(block, values, query.where) if can_be_there(values) else ()

    def attributes(self, saga_ids: Sequence[str]) -> dict[str, list[AttributeRow]]:
        """Return the attributes of those of these sagas that have any."""
        found: dict[str, list[AttributeRow]] = {}
        for saga_id, name, value, number, position in self._look("attributes", saga_ids=self._list(saga_ids)):
            found.setdefault(saga_id, []).append(AttributeRow(saga_id, name, value, _plain(number), position))
        return found

    def attribute_names(self) -> list[str]:
        """Return every name of an attribute that some saga has."""
        return [row[0] for row in self._look("attribute_names")]

    def _find_attributed(self, query: Query) -> list[StatusRow]:
        """Return the rows that match a query with attributes, newest first."""
        wanted = [wanted_of(one) for one in query.attributes]
        ordered = next((one for one in wanted if one.operator == "=" and None in (one.text, one.number)), None)
        if ordered is not None and len(wanted) == 1 and not _has_other_filters(query):
            return self._among(query, wanted, self._holders(ordered, query))
        newest = self._newest(query, 4 * query.limit)
        found = self._among(query, wanted, [newest])
        if len(found) == query.limit:
            return found
        few = self._few(query, wanted)
        if few is not None:
            return self._among(query, wanted, _pages(sorted(few, reverse=True), query))
        found = self._among(query, wanted, [newest, self._newest(query, NEWEST)[len(newest) :]])
        if len(found) == query.limit:
            return found
        if errs(query):
            return [StatusRow(*row) for row in self._ask_all("find_erring", query, wanted, None)]
        return self._among(query, wanted, self._holders(ordered or _narrowest(wanted), query))

    def _among(self, query: Query, wanted: Sequence[Wanted], pages: Iterable[Sequence[str]]) -> list[StatusRow]:
        """Return the rows that match among pages of sagas, which come newest first."""
        found: list[StatusRow] = []
        for saga_ids in pages:
            found += [StatusRow(*row) for row in self._ask_all("find_among", query, wanted, saga_ids)]
            if len(found) >= query.limit:
                break
        return found[: query.limit]

    def _few(self, query: Query, wanted: Sequence[Wanted]) -> set[str] | None:
        """Return the ids of the few sagas that may match, by the index that gives fewest; None if each gives many."""
        fewest: set[str] | None = None
        for found in self._candidates(query, wanted):
            if len(found) <= MOST_CANDIDATES and (fewest is None or len(found) < len(fewest)):
                fewest = found
            if fewest is not None and len(fewest) <= FEW:
                break
        return fewest

    def _candidates(self, query: Query, wanted: Sequence[Wanted]) -> Iterator[set[str]]:
        """Yield the ids, up to one too many, of the sagas that may match, once for each index that can tell."""
        if query.key is not None:
            yield self._some("some_keyed", key=query.key)
        for one in wanted:
            if one.operator == "=":
                yield self._equal(one, query)
            elif one.operator != "!=":
                yield self._some("some_in_texts" if one.number is None else "some_in_numbers", **self._bounds(one))
        statuses = set(query.statuses)
        if statuses and statuses <= IN_TROUBLE:
            yield self._some("some_in_trouble")
        elif errs(query):
            yield self._some("some_with_an_error")
        elif statuses and statuses <= OPEN:
            yield self._some("some_open")
        if query.saga_name is not None:
            yield self._some("some_named", saga_name=query.saga_name)

    def _some(self, block: str, **values: Any) -> set[str]:
        return {row[0] for row in self._look(block, **values, limit=MOST_CANDIDATES + 1)}

    def _equal(self, one: Wanted, query: Query) -> set[str]:
        found: set[str] = set()
        if one.text is not None:
            found |= self._some("holders_of_text", name=one.name, text=one.text, before=query.before)
        if one.number is not None:
            number = self._number(one.number)
            found |= self._some("holders_of_number", name=one.name, number=number, before=query.before)
        return found

    def _bounds(self, one: Wanted) -> dict[str, Any]:
        """Return between what a value must be: a little more than what meets the condition."""
        bound = one.text if one.number is None else self._number(one.number)
        if one.operator in ("=", "!="):
            return {"name": one.name, "least": None, "most": None}
        upwards = one.operator in (">", ">=")
        return {"name": one.name, "least": bound if upwards else None, "most": None if upwards else bound}

    def _newest(self, query: Query, limit: int) -> list[str]:
        return [row[0] for row in self._look("newest", before=query.before, limit=limit)]

    def _holders(self, one: Wanted, query: Query) -> Iterator[list[str]]:
        """Yield the ids of the sagas that meet a condition, and perhaps others, newest first, in pages that grow."""
        before, size = query.before, 4 * query.limit
        while True:
            rows = self._holders_before(one, before, size)
            yield [row[0] for row in rows]
            if len(rows) < size:
                return
            before, size = rows[-1][0], min(4 * size, max(LONGEST_PAGE, size))

    def _holders_before(self, one: Wanted, before: str | None, limit: int) -> Sequence[Any]:
        ends = {"before": before, "limit": limit}
        match one:
            case Wanted(operator="=", number=None):
                return self._look("holders_of_text", name=one.name, text=one.text, **ends)
            case Wanted(operator="=", text=None):
                return self._look("holders_of_number", name=one.name, number=self._number(one.number), **ends)
            case Wanted(operator="=" | "!="):
                unlike = one.text if one.operator == "!=" else None
                return self._look("newest_unlike", name=one.name, text=unlike, **ends)
            case _:
                block = "newest_in_texts" if one.number is None else "newest_in_numbers"
                return self._look(block, **self._bounds(one), **ends)


def errs(query: Query) -> bool:
    """Tell whether only sagas with an error match."""
    return query.error is not None or (len(query.statuses) > 0 and WITH_AN_ERROR.issuperset(query.statuses))


def _has_other_filters(query: Query) -> bool:
    return replace(query, attributes=(), before=None, limit=1) != Query(limit=1)


def _narrowest(wanted: Sequence[Wanted]) -> Wanted:
    """Return the condition that most likely fewest sagas meet."""
    return min(wanted, key=lambda one: (one.operator == "!=", one.operator == "="))


def _pages(saga_ids: Sequence[str], query: Query) -> Iterator[Sequence[str]]:
    """Yield ids that come after the page before, in pages that grow."""
    left = [one for one in saga_ids if query.before is None or one < query.before]
    begin, size = 0, 2 * query.limit
    while begin < len(left):
        yield left[begin : begin + size]
        begin, size = begin + size, 4 * size


def _plain(number: Any) -> int | float | None:
    """Return a number as it was recorded: a database may give a decimal, or a whole number as a float."""
    if number is None or isinstance(number, int):
        return number
    whole = int(number)
    return whole if whole == number and -(2**63) <= whole < 2**63 else float(number)
