"""The part of the store contract about attributes of sagas: written with the events, found by, and replaced."""

import itertools
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from sagalog.saga.attributes import number_of, text_of
from sagalog.store import Append, AttributeRow, Query, Store
from sagalog.store.attributes import OPERATORS, Condition, typed, wanted_of
from sagalog.testing.contracts.store.finding import ids
from sagalog.testing.contracts.store.samples import NOW, SECOND, ending, following, lease, start

# Each differs from the others in some order: exact numbers, texts by code points, and texts that look like numbers.
VALUES: Sequence[str | int | float | bool] = (
    "c-1",
    "c-2",
    "C-1",
    "",
    "ä",
    "z",
    "\ue000",
    "\U0001f600",
    "%_'\\\"",
    "100",
    "100.0",
    True,
    False,
    "true",
    0,
    100,
    -7,
    99.9,
    0.1,
    1e-320,
    1e300,
    2**53,
    2**53 + 1,
    2**60 + 1,
    2**63 - 1,
    -(2**63),
    float(2**63),
)


def with_attributes(append: Append, *forgotten: str, **values: str | float | bool) -> Append:
    """Return the append with attributes beside."""
    rows = [AttributeRow(append.saga_id, name, text_of(value), number_of(value)) for name, value in values.items()]
    return replace(append, attributes=rows, forgotten=forgotten)


def having(store: Store, *conditions: Condition, **wanted: Any) -> list[str]:
    """Return the ids of the sagas that meet these conditions."""
    return [row.saga_id for row in store.find(Query(attributes=conditions, **wanted))]


class AttributeContract:
    """The attributes of sagas."""

    def test_attributes_are_read_back_as_they_were_written(self, store: Store) -> None:
        """Invariant 48: they are as far as the log is."""
        sagas = [with_attributes(start(), of=value, also="x") for value in VALUES]
        other = start()
        store.append([*sagas, other])
        found = store.attributes([one.saga_id for one in (*sagas, other)])
        for one, value in zip(sagas, VALUES, strict=True):
            row = store.status(one.saga_id)
            assert row is not None
            assert found[one.saga_id] == [
                AttributeRow(one.saga_id, "also", "x", None, row.position),
                AttributeRow(one.saga_id, "of", text_of(value), number_of(value), row.position),
            ]
        assert other.saga_id not in found
        assert store.attributes([]) == {}

    def test_later_events_add_replace_and_remove_attributes(self, store: Store) -> None:
        begun = with_attributes(start(), customer="c-1", amount=10, country="DE")
        later = with_attributes(following(begun), "country", "no such", amount=12, carrier="ups")
        store.append([begun, later])
        row = store.status(begun.saga_id)
        assert row is not None
        [amount, carrier, customer] = store.attributes([begun.saga_id])[begun.saga_id]
        assert (amount.value, amount.number, amount.position) == ("12", 12, row.position)
        assert (carrier.value, carrier.position) == ("ups", row.position)
        assert (customer.value, customer.position) == ("c-1", row.position - 1)
        assert having(store, ("amount", "=", 10)) == []
        assert having(store, ("country", "=", "DE")) == []
        assert having(store, ("amount", "=", 12), ("carrier", "=", "ups")) == [begun.saga_id]

    def test_the_attributes_of_a_refused_append_are_not_written(self, store: Store) -> None:
        begun = with_attributes(start("k"), customer="c-1")
        store.append([begun])
        taken = with_attributes(start("k"), customer="c-2")
        stale = with_attributes(following(begun, version=9), "customer", carrier="ups")
        assert store.append([taken, replace(stale, expected=5)]) == ["exists", "conflict"]
        assert [row.value for row in store.attributes([begun.saga_id])[begun.saga_id]] == ["c-1"]
        assert store.attributes([taken.saga_id]) == {}
        assert having(store, ("customer", "!=", "")) == [begun.saga_id]

    def test_an_append_that_landed_before_writes_its_attributes_once(self, store: Store) -> None:
        begun = with_attributes(start(), customer="c-1")
        later = with_attributes(following(begun), "customer")
        assert store.append([begun, later]) == ["written", "written"]
        assert store.append([begun]) == ["written"]
        assert store.attributes([begun.saga_id]) == {}

    def test_sagas_are_found_by_each_operator_as_values_are_compared(self, store: Store) -> None:
        sagas = [with_attributes(start(), of=value) for value in VALUES]
        store.append([*sagas, start(), with_attributes(start(), other="c-1")])
        rows = {one.saga_id: one.attributes[0] for one in sagas}
        for operator, value in itertools.product(OPERATORS, VALUES):
            condition = ("of", operator, value)
            wanted = wanted_of(condition)
            expected = sorted((one for one, row in rows.items() if wanted.is_met_by(row)), reverse=True)
            assert having(store, condition) == expected, condition

    def test_what_a_person_types_finds_texts_and_numbers(self, store: Store) -> None:
        text, number, version, money = (with_attributes(start(), of=value) for value in ("100", 100, "19.90", 19.9))
        store.append([text, number, version, money])
        assert having(store, typed("of=100")) == ids(text, number)
        assert having(store, typed("of!=100")) == ids(version, money)
        assert having(store, typed("of=19.90")) == ids(version, money)
        assert having(store, typed("of=19.9")) == ids(money)
        assert having(store, typed("of=1e2")) == ids(number)
        assert having(store, typed("of>=19.90")) == ids(number, money)
        assert having(store, typed("of<=a")) == ids(text, version)

    def test_all_conditions_must_be_met(self, store: Store) -> None:
        one = with_attributes(start(), customer="c-1", amount=10)
        two = with_attributes(start(), customer="c-1", amount=20)
        three = with_attributes(start(), customer="c-2", amount=20)
        store.append([one, two, three])
        assert having(store, ("customer", "=", "c-1"), ("amount", ">=", 20)) == ids(two)
        assert having(store, ("amount", ">", 5), ("amount", "<", 20)) == ids(one)
        assert having(store, ("customer", "!=", "c-1"), ("amount", "=", 20)) == ids(three)
        assert having(store, ("customer", "!=", "c-3"), ("country", "!=", "DE")) == []

    def test_attributes_are_found_together_with_the_other_filters(self, store: Store) -> None:
        old = with_attributes(start("old", started_at=NOW - 100 * SECOND), customer="c-1", amount=1)
        other = with_attributes(start("k", saga="returns"), customer="c-1", amount=2)
        failed = with_attributes(start("k"), customer="c-1", amount=3)
        stuck = with_attributes(start("stuck", owner="w1"), customer="c-1", amount=4)
        plain = with_attributes(start("plain"), customer="c-2", amount=5)
        store.register(lease("w1"))
        store.append([old, other, failed, stuck, plain])
        failed = ending(failed, "failed", error_type="CardDeclined", error_text="no cover")
        stuck = ending(stuck, "stuck", holder="w1", error_type="Timeout", error_text="no answer")
        store.append([failed, stuck])
        for mine in (
            [("customer", "=", "c-1")],
            [("amount", ">=", 0), ("amount", "<", 5)],
            [("customer", "!=", "c-2")],
        ):
            conditions: list[Any] = mine
            assert having(store, *conditions) == ids(old, other, failed, stuck)
            assert having(store, *conditions, saga_name="returns") == ids(other)
            assert having(store, *conditions, statuses=["failed"]) == ids(failed)
            assert having(store, *conditions, statuses=["failed", "stuck"]) == ids(failed, stuck)
            assert having(store, *conditions, statuses=["started"]) == ids(old, other)
            assert having(store, *conditions, statuses=["completed"]) == []
            assert having(store, *conditions, key="k") == ids(failed, other)
            assert having(store, *conditions, key="plain") == []
            assert having(store, *conditions, error="COVER") == ids(failed)
            assert having(store, *conditions, started_before=NOW) == ids(old)
            assert having(store, *conditions, started_after=NOW) == ids(other, failed, stuck)

    def test_sagas_with_an_attribute_are_found_page_by_page(self, store: Store) -> None:
        sagas = [with_attributes(start(), of=("a", "b")[number % 2], number=number) for number in range(9)]
        store.append(sagas)
        for condition in (("of", "=", "a"), ("number", ">=", 0), ("of", "!=", "c")):
            mine: Any = condition
            expected = ids(*(sagas[::2] if condition[1] == "=" else sagas))
            found: list[str] = []
            while page := having(store, mine, limit=2, before=found[-1] if found else None):
                assert len(page) <= 2
                found += page
            assert found == expected

    def test_the_names_of_attributes_are_told(self, store: Store) -> None:
        assert store.attribute_names() == []
        store.append([with_attributes(start(), zebra=1, ape="x"), with_attributes(start(), ape="y", Mole=True)])
        assert store.attribute_names() == ["Mole", "ape", "zebra"]

    def test_the_rows_of_attributes_can_be_replaced(self, store: Store) -> None:
        """Invariant 45."""
        damaged, other = with_attributes(start(), customer="c-1", odd=1), with_attributes(start(), customer="c-2")
        store.append([damaged, other])
        row = store.status(damaged.saga_id)
        assert row is not None
        before = store.attributes([other.saga_id])
        rows = [
            AttributeRow(damaged.saga_id, "amount", "0.1", 0.1, row.position),
            AttributeRow(damaged.saga_id, "customer", "c-3", None, row.position),
        ]
        store.rewrite([row], [], (), rows)
        assert store.attributes([damaged.saga_id]) == {damaged.saga_id: rows}
        assert store.attributes([other.saga_id]) == before
        assert having(store, ("customer", "=", "c-3"), ("amount", "=", 0.1)) == [damaged.saga_id]
