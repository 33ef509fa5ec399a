"""What a filter asks of every saga is asked by the query itself, for which there are indexes."""

from typing import Any

import pytest

from sagalog.saga.transitions import STATUSES
from sagalog.store import Query
from sagalog.store.attributes import MOST_CONDITIONS, Wanted
from sagalog.store.where import parse
from sagalog.stores.narrowing import narrowed
from sagalog.testing.contracts.store.samples import NOW, SECOND

MINUTE = 60 * SECOND


@pytest.mark.parametrize(
    ("text", "given", "asked", "left"),
    [
        ("status=stuck", {}, {"statuses": ["stuck"]}, None),
        ("status in (stuck, failed)", {}, {"statuses": ["failed", "stuck"]}, None),
        ("status!=completed and status!=failed", {}, {"statuses": [*STATUSES[:3], "abandoned", "stuck"]}, None),
        ("status in (stuck, failed)", {"statuses": ["stuck", "started"]}, {"statuses": ["stuck"]}, None),
        ("status=stuck", {"statuses": ["failed"]}, {"statuses": ["failed"]}, "status=stuck"),
        ("saga=a and key=k", {}, {"saga_name": "a", "key": "k"}, None),
        ("saga=a", {"saga_name": "b"}, {"saga_name": "b"}, "saga=a"),
        ("error~x and error~y", {}, {"error": "x"}, "error~y"),
        ("age>1m and age<=2m", {}, {"started_before": NOW - MINUTE, "started_after": NOW - 2 * MINUTE}, None),
        ("age>=1m and age<2m", {}, {"started_before": NOW - MINUTE + 1, "started_after": NOW - 2 * MINUTE + 1}, None),
        ("age>1m", {"started_before": NOW - 2 * MINUTE}, {"started_before": NOW - 2 * MINUTE}, None),
        ("attribute.a>=1", {}, {"attributes": [Wanted("a", ">=", "1", 1)]}, None),
        ("attribute.a~x", {}, {}, "attribute.a~x"),
        ("attribute.a!=x", {}, {}, "attribute.a!=x"),
        ("key=a or key=b", {}, {}, "key=a or key=b"),
        ("not key=a", {}, {}, "not key=a"),
        ("status=stuck or key=a", {}, {}, "status=stuck or key=a"),
        ("status=stuck and (key=a or run=2) and run<9", {}, {"statuses": ["stuck"]}, "(key=a or run=2) and run<9"),
    ],
)
def test_a_query_asks_what_it_has_a_place_for(
    text: str, given: dict[str, Any], asked: dict[str, Any], left: str | None
) -> None:
    where = None if left is None else parse(left, NOW)
    assert narrowed(Query(where=parse(text, NOW), **given)) == Query(where=where, **asked)


def test_no_query_has_more_conditions_than_one_may_have() -> None:
    many = " and ".join(f"attribute.a{number}=x" for number in range(MOST_CONDITIONS + 1))
    query = narrowed(Query(where=parse(many, NOW)))
    assert (len(query.attributes), query.where) == (MOST_CONDITIONS, parse(f"attribute.a{MOST_CONDITIONS}=x", NOW))
