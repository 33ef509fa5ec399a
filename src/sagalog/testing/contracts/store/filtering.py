"""The part of the store contract about filters: the same sagas are found by one in every store, page by page."""

import random
from typing import Any

from sagalog.store import Append, AttributeRow, Query, Store
from sagalog.store.filters import All, AnyOf, AttributeComparison, Comparing, Comparison, Filter, Not, meets, written
from sagalog.store.where import parse
from sagalog.testing.contracts.store.attributes import with_attributes
from sagalog.testing.contracts.store.finding import ids
from sagalog.testing.contracts.store.samples import NOW, SECOND, ending, following, start

SAGAS = 40
FILTERS = 400
LATER = NOW + 3600 * SECOND
TEXTS = (
    "",
    " ",
    "a",
    "A",
    "k-1",
    "%",
    "_",
    "\\",
    "' OR 1=1 --",
    '"',
    "E",
    "no answer",
    "NO",
    "ä",
    "Ä",
    "\U0001f600",
    "\n",
)


def found(store: Store, where: str, **wanted: Any) -> list[str]:
    """Return the ids of the sagas that a filter finds, an hour after they were started."""
    return [row.saga_id for row in store.find(Query(where=parse(where, LATER), **wanted))]


def lives(generator: random.Random) -> tuple[list[Append], list[Append]]:
    """Return sagas, and how each goes on: with values and without them, alike and nearly alike."""
    begun: list[Append] = []
    later: list[Append] = []
    for number in range(SAGAS):
        amounts: list[str | int | float | bool] = [number, number / 4, "100", 100, True, "DE"]
        one = start(
            f"{generator.choice(TEXTS)}{number % 30}",
            saga=generator.choice(["a", "A", "returns"]),
            run=1 + number // 30,
            saga_version=generator.choice([1, 2, 3]),
            started_at=NOW + number * SECOND,
            waiting_for=generator.choice([None, "step a", "STEP A", "x"]),
            waiting_until=generator.choice([None, NOW, NOW + SECOND]),
            deadline_at=generator.choice([None, NOW + 5 * SECOND]),
        )
        begun.append(with_attributes(one, amount=generator.choice(amounts)))
        status = generator.choice(["completed", "failed", "stuck", "compensating", "pending"])
        error: dict[str, Any] = {}
        if status in ("failed", "stuck", "compensating"):
            error = {"error_type": generator.choice(["E", "TimeOut"]), "error_text": generator.choice([None, *TEXTS])}
        made = following(one, status=status, **error) if status in ("compensating", "pending") else ending(one, status)
        if status in ("failed", "stuck"):
            made = ending(one, status, **error)
        named = {"country": generator.choice(["DE", "de", "Österreich"])} if generator.random() < 0.5 else {}
        later.append(with_attributes(made, **named))
    return begun, later


def some_filter(generator: random.Random, depth: int = 3) -> Filter:
    """Return any filter, of every field and operator."""
    kind = generator.random()
    if depth and kind < 0.5:
        parts = tuple(some_filter(generator, depth - 1) for _ in range(generator.choice([1, 2, 2, 3])))
        joined: list[Filter] = [All(parts), All(parts), AnyOf(parts), Not(parts[0])]
        return generator.choice(joined)
    order: Comparing = generator.choice(("<", "<=", ">", ">="))
    text, number = generator.choice(TEXTS), generator.choice([0, 1, 2, 3, -(2**63), 2**63 - 1])
    moment = NOW + generator.choice([0, 1, SECOND, 5 * SECOND, 20 * SECOND, -SECOND])
    is_like: Comparing = generator.choice(("=", "~"))
    single: list[Filter] = [
        Comparison("status", "=", generator.choice(["stuck", "failed", "completed", "pending", "started"])),
        Comparison("saga", is_like, generator.choice(["a", "A", "returns", "turn"])),
        Comparison(generator.choice(["key", "step", "waiting_for", "error_type", "error_text"]), is_like, text),
        Comparison("error", "~", text),
        Comparison(generator.choice(["owner", "error_type", "ended", "waiting_until", "key"]), "=", None),
        Comparison(generator.choice(["run", "saga_version", "version"]), generator.choice(["=", order]), number),
        Comparison(generator.choice(["started", "updated", "ended", "waiting_until", "deadline"]), order, moment),
        AttributeComparison(generator.choice(["amount", "country", "none"]), is_like, generator.choice(TEXTS)),
        AttributeComparison("amount", generator.choice(["=", order]), "100", 100),
        AttributeComparison("amount", generator.choice(["=", order]), "2.50", 2.5),
        AttributeComparison(generator.choice(["country", "amount"]), generator.choice(["=", order]), "DE"),
    ]
    return generator.choice(single)


class FilteringContract:
    """Sagas found by a filter."""

    def test_a_filter_finds_what_its_parts_say(self, store: Store) -> None:
        stuck, old, done = start("k-1"), start("k-2", started_at=NOW - 600 * SECOND), start("k-3", saga="returns")
        store.append([stuck, old, done])
        stuck = ending(stuck, "stuck", error_type="Timeout", error_text="the Letter Shop is closed")
        store.append([stuck, ending(done)])
        assert found(store, 'status=stuck and error~"letter shop" and age>10m') == ids(stuck)
        assert found(store, "age>1h5m") == ids(old)
        assert found(store, "saga=returns or key=k-2") == ids(done, old)
        assert found(store, "not (saga=returns or key=k-2)") == ids(stuck)
        assert found(store, "status not in (started, completed)") == ids(stuck)
        assert found(store, "run=1 and saga_version<2 and version>=2") == ids(stuck, done)
        assert found(store, "error_type=Timeout") == found(store, "error=Timeout") == ids(stuck)
        assert found(store, f'id="{old.saga_id}"') == ids(old)
        assert found(store, "key in (k-1, k-2)", saga_name="order-fulfilment", statuses=["stuck"]) == ids(stuck)

    def test_a_filter_is_true_or_false_of_what_is_not_there(self, store: Store) -> None:
        declined, plain = start(), start(owner="w1")
        store.append([declined, plain])
        declined = ending(declined, "failed", error_type="CardDeclined", error_text=None)
        store.append([declined])
        assert found(store, "error=CardDeclined") == found(store, "error!=none") == ids(declined)
        assert found(store, "error!=CardDeclined") == found(store, "not error=CardDeclined") == ids(plain)
        assert found(store, "error!~card") == found(store, "error=none") == ids(plain)
        assert found(store, "error_text!=x") == found(store, "error_text=none") == ids(declined, plain)
        assert found(store, "ended<2100-01-01") == found(store, "not ended=none") == ids(declined)
        assert found(store, "not ended<2100-01-01") == found(store, "owner=w1") == ids(plain)
        assert found(store, 'error~""') == found(store, 'error~" "') == ids(declined)

    def test_a_filter_is_true_or_false_of_an_attribute_that_a_saga_has_not(self, store: Store) -> None:
        german = with_attributes(start(), country="DE", amount=100)
        plain = start()
        store.append([german, plain])
        assert found(store, "attribute.country=DE") == found(store, "attribute.country!=none") == ids(german)
        assert found(store, "attribute.country!=DE") == found(store, "attribute.country=none") == ids(plain)
        assert found(store, "attribute.country!=FR") == ids(german, plain)
        assert found(store, "attribute.amount>=99.5 and attribute.country~e") == ids(german)
        assert found(store, "not attribute.amount>=99.5") == ids(plain)
        assert found(store, 'attribute.amount>="99.5"') == [], "a text and a number are in no order"

    def test_what_is_alike_is_so_whatever_the_case_of_a_to_z(self, store: Store) -> None:
        one = start("Zürich-A")
        store.append([one])
        assert found(store, "key~RICH-a") == found(store, "key~Zü") == ids(one)
        assert found(store, "key~zÜrich") == found(store, "key=zürich-a") == []

    def test_a_value_of_a_filter_is_never_taken_for_anything_else(self, store: Store) -> None:
        odd = start("' OR 1=1 -- %_\\ ? $1 :key {column}")
        store.append([odd, start("other")])
        assert found(store, 'key="\' OR 1=1 -- %_\\ ? $1 :key {column}"') == ids(odd)
        assert found(store, "key~'? $1 :KEY {column}' or key~%_ and key!~other") == ids(odd)
        assert found(store, "key~\"'' OR\"") == found(store, "key~k_y") == []

    def test_a_filter_finds_page_by_page(self, store: Store) -> None:
        sagas = [with_attributes(start(f"k-{number}"), even=number % 2 == 0) for number in range(9)]
        store.append(sagas)
        where = "attribute.even=true or key=k-1"
        whole = found(store, where)
        pages: list[str] = []
        while page := found(store, where, limit=2, before=pages[-1] if pages else None):
            assert len(page) <= 2
            pages += page
        assert pages == whole == ids(*sagas[::2], sagas[1])

    def test_any_filter_finds_those_that_meet_it(self, store: Store) -> None:
        """Among them those that have no value for what it compares; and its text means the same as itself."""
        generator = random.Random(20261129)
        begun, later = lives(generator)
        store.append(begun)
        assert set(store.append(later)) == {"written"}
        every = [one.saga_id for one in begun]
        rows = sorted(store.statuses(every).values(), key=lambda row: row.saga_id, reverse=True)
        held = {(one.saga_id, one.name): one for many in store.attributes(every).values() for one in many}

        def attribute(saga_id: str, name: str) -> AttributeRow | None:
            return held.get((saga_id, name))

        some = 0
        for _ in range(FILTERS):
            where = some_filter(generator)
            expected = [row.saga_id for row in rows if meets(where, row, attribute)]
            text = written(where)
            assert [row.saga_id for row in store.find(Query(where=where, limit=100))] == expected, text
            assert [row.saga_id for row in store.find(Query(where=parse(text, 0), limit=100))] == expected, text
            some += 0 < len(expected) < SAGAS
        assert some > FILTERS / 4
