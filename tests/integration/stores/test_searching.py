"""Every way in which a SQL store looks for sagas finds what the memory store finds: each index, and each walk."""

import random
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

import pytest
from databases.stores import empty_database, store_of

from sagalog.saga.transitions import STATUSES
from sagalog.store import Append, Query
from sagalog.store.attributes import OPERATORS, typed
from sagalog.store.where import parse
from sagalog.stores import searching
from sagalog.stores.memory.store import MemoryStore
from sagalog.stores.sqlite import store as of_sqlite
from sagalog.testing.contracts.store.attributes import with_attributes
from sagalog.testing.contracts.store.samples import NOW, SECOND, ending, following, start

SAGAS = 90
QUERIES = 600
FILTERS = (
    "attribute.country=none or attribute.amount>=50",
    "status!=completed and attribute.carrier=a",
    "status=stuck and (run=2 or not attribute.campaign=spring)",
    "saga=orders and error!~1 and attribute.amount<90",
    'attribute.carrier~"B" and idle<1h',
)


def lives(generator: random.Random) -> tuple[list[Append], list[Append]]:
    """Return sagas, and how each goes on: with attributes that few, many or all have, and some that change."""
    begun: list[Append] = []
    later: list[Append] = []
    for number in range(SAGAS):
        name = generator.choice(["orders", "orders", "returns", "rare" if number % 40 == 7 else "orders"])
        one = start(f"k-{number % 60}", saga=name, run=1 + number // 60, started_at=NOW + number * SECOND)
        values: dict[str, Any] = {"amount": generator.choice([number, number / 2, 100, "100", "abc"])}
        if generator.random() < 0.6:
            values["country"] = "DE"
        if number in (20, 60):
            values["campaign"] = "spring"
        begun.append(with_attributes(one, **values))
        end = generator.choice(["completed", "completed", "failed", "stuck", "compensating", "pending"])
        error: dict[str, Any] = (
            {} if end in ("completed", "pending") else {"error_type": "E", "error_text": f"text {number}"}
        )
        after = following(one, status=end, **error) if end in ("compensating", "pending") else ending(one, end, **error)
        later.append(with_attributes(after, *generator.choice([(), ("country",)]), carrier=generator.choice("ab")))
    return begun, later


def some(generator: random.Random, choices: Sequence[Any]) -> Any:
    """Return one of these, or mostly None."""
    return generator.choice(choices) if generator.random() < 0.2 else None


def queries(generator: random.Random, ids: list[str]) -> Any:
    values = ["DE", "abc", "100", "spring", "a", 0, 20, 100, 44.5, "", "b"]
    filters = [parse(one, NOW) for one in FILTERS]
    while True:
        names = generator.choices(["amount", "country", "campaign", "carrier"], k=generator.choice([1, 1, 1, 2]))
        conditions: list[Any] = [(name, generator.choice(OPERATORS), generator.choice(values)) for name in names]
        if generator.random() < 0.2:
            conditions.append(
                typed(f"amount{generator.choice(OPERATORS)}{generator.choice(['100', '100.0', '22.50', 'abc'])}")
            )
        yield Query(
            saga_name=some(generator, ["orders", "rare", "nobody"]),
            statuses=generator.choice(
                [(), (), (), (), (), ("stuck",), ("failed",), ("failed", "stuck"), ("pending",), STATUSES]
            ),
            key=some(generator, ["k-7"]),
            error=some(generator, ["TEXT 1", "e"]),
            started_after=some(generator, [NOW + 50 * SECOND]),
            started_before=some(generator, [NOW + 70 * SECOND]),
            before=some(generator, ids),
            limit=generator.choice([1, 2, 5, 100]),
            attributes=conditions if generator.random() < 0.85 else (),
            where=some(generator, filters),
        )


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
@pytest.mark.parametrize("sizes", ["as they are", "so small that every way is gone"])
def test_every_way_finds_the_same(
    kind: str, sizes: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sizes != "as they are":
        for name, value in (("MOST_CANDIDATES", 3), ("FEW", 1), ("NEWEST", 9), ("LONGEST_PAGE", 4)):
            monkeypatch.setattr(searching, name, value)
        monkeypatch.setattr(of_sqlite, "MOST_OF_FEW", 3)
    generator = random.Random(20261129)
    begun, later = lives(generator)
    memory, store = MemoryStore(), store_of(empty_database(kind, tmp_path, request))
    store.open()
    try:
        for one in (memory, store):
            one.append(begun)
            assert set(one.append(later)) == {"written"}
        found_any = 0
        for query in islice(queries(generator, [one.saga_id for one in begun]), QUERIES):
            expected = [row.saga_id for row in memory.find(query)]
            assert [row.saga_id for row in store.find(cast(Query, query))] == expected, query
            found_any += bool(expected)
        assert found_any > QUERIES / 5
    finally:
        store.close()
