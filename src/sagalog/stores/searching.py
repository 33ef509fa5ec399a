"""How the SQL stores find sagas by their attributes: which index is asked first. The SQL belongs to each dialect.

Indexes give ids of sagas that may match: who has a value, who has an error, who has a key. If one of them gives few,
these are asked for everything else. If all give many, many sagas match, and a walk from the newest on finds enough of
them soon: along the holders of one value, or along all sagas. So neither a value that most sagas have nor one that two
have is slow.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from sagalog.saga.transitions import OPEN
from sagalog.store import AttributeRow, Query, StatusRow
from sagalog.store.attributes import Wanted, wanted_of
from sagalog.stores.queries import Queries

WITH_AN_ERROR = frozenset(("compensating", "failed", "stuck"))

# At most so many ids are looked up and asked for everything else; with more, a walk is faster.
MOST_CANDIDATES = 5_000
# With so few there is no need to look for fewer.
FEW = 200


class Searching(Queries):
    """The methods of the port about attributes, through SQL blocks with the same names in every dialect."""

    @abstractmethod
    def _number(self, number: float | None) -> Any:
        """Return a number in the form in which a block takes one that is exact."""

    @abstractmethod
    def _ask_all(
        self, block: str, query: Query, wanted: Sequence[Wanted], saga_ids: Sequence[str] | None
    ) -> Sequence[Any]:
        """Return the rows that a block finds which asks for everything: the query, and all conditions."""

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
        few = self._few(query, wanted)
        if few is not None:
            pages = _pages(sorted(few, reverse=True), query)
        else:
            one = next((one for one in wanted if one.operator == "=" and None in (one.text, one.number)), None)
            if one is None:
                return [StatusRow(*row) for row in self._ask_all("find_walking", query, wanted, None)]
            pages = self._holders_in_order(one, query)
        found: list[StatusRow] = []
        for saga_ids in pages:
            found += [StatusRow(*row) for row in self._ask_all("find_among", query, wanted, saga_ids)]
            if len(found) >= query.limit:
                break
        return found[: query.limit]

    def _few(self, query: Query, wanted: Sequence[Wanted]) -> set[str] | None:
        """Return the ids of the few sagas that may match, by the index that gives fewest; None if each gives many."""
        fewest: set[str] | None = None
        for found in self._candidates(query, wanted, MOST_CANDIDATES + 1):
            if len(found) <= MOST_CANDIDATES and (fewest is None or len(found) < len(fewest)):
                fewest = found
            if fewest is not None and len(fewest) <= FEW:
                break
        return fewest

    def _candidates(self, query: Query, wanted: Sequence[Wanted], limit: int) -> Iterator[set[str]]:
        """Yield the ids, up to so many, of the sagas that may match, once for each index that can tell."""

        def ids(block: str, **values: Any) -> set[str]:
            return {row[0] for row in self._look(block, **values, limit=limit)}

        if query.key is not None:
            yield ids("keyed", key=query.key)
        for one in wanted:
            if one.operator == "=":
                found: set[str] = set()
                if one.text is not None:
                    found |= ids("holders_of_text", name=one.name, text=one.text, before=query.before)
                if one.number is not None:
                    number = self._number(one.number)
                    found |= ids("holders_of_number", name=one.name, number=number, before=query.before)
                yield found
            elif one.operator != "!=":
                block = "holders_of_texts" if one.number is None else "holders_of_numbers"
                bound = one.text if one.number is None else self._number(one.number)
                upwards = one.operator in (">", ">=")
                yield ids(block, name=one.name, least=bound if upwards else None, most=None if upwards else bound)
        statuses = set(query.statuses)
        if query.error is not None or (statuses and statuses <= WITH_AN_ERROR):
            yield ids("with_an_error", statuses=self._list(query.statuses) if statuses else None)
        elif statuses and statuses <= OPEN:
            yield ids("going_on")
        if query.saga_name is not None:
            yield ids("named", saga_name=query.saga_name)

    def _holders_in_order(self, one: Wanted, query: Query) -> Iterator[list[str]]:
        """Yield the ids of the sagas that have a value, newest first, in pages that grow."""
        before, size = query.before, 2 * query.limit
        while True:
            if one.number is None:
                rows = self._look("holders_of_text", name=one.name, text=one.text, before=before, limit=size)
            else:
                number = self._number(one.number)
                rows = self._look("holders_of_number", name=one.name, number=number, before=before, limit=size)
            yield [row[0] for row in rows]
            if len(rows) < size:
                return
            before, size = rows[-1][0], min(2 * size, max(MOST_CANDIDATES, size))


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
