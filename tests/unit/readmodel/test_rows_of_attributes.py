"""The rows of attributes follow from two states of a saga: what was added, replaced or removed, and nothing else."""

from typing import Any

import pytest
from msgspec.structs import replace

from sagalog import Saga
from sagalog.readmodel.rows import attribute_rows
from sagalog.saga.evolve import fold
from sagalog.saga.state import SagaState
from sagalog.store import AttributeRow
from sagalog.testing.kernel import started


def having(**attributes: Any) -> SagaState:
    saga = Saga("orders", input=str)
    saga.sleep(1)
    return replace(fold([started(saga, "o-1")]), attributes=attributes)


@pytest.mark.parametrize(
    ("before", "after", "changed", "removed"),
    [
        ({}, {"a": 1}, {"a": "1"}, ()),
        ({"a": 1}, {"a": 1, "b": "x"}, {"b": "x"}, ()),
        ({"a": 1, "b": "x"}, {"b": "x"}, {}, ("a",)),
        ({"a": 1}, {"a": 2}, {"a": "2"}, ()),
        # These are equal in Python.
        ({"a": 1}, {"a": True}, {"a": "true"}, ()),
        ({"a": False}, {"a": 0}, {"a": "0"}, ()),
        ({"a": 1}, {"a": "1"}, {"a": "1"}, ()),
        ({"a": 1}, {"a": 1}, {}, ()),
    ],
)
def test_only_what_differs_has_a_row_to_write(
    before: dict[str, Any], after: dict[str, Any], changed: dict[str, str], removed: tuple[str, ...]
) -> None:
    rows, names = attribute_rows("saga", having(**before), having(**after))
    assert ({row.name: row.value for row in rows}, names) == (changed, removed)


def test_a_saga_that_begins_has_a_row_for_each_and_its_number_if_it_is_one() -> None:
    rows, names = attribute_rows("saga", None, having(customer="c-1", amount=19.9, gift=True))
    assert rows == [
        AttributeRow("saga", "customer", "c-1", None),
        AttributeRow("saga", "amount", "19.9", 19.9),
        AttributeRow("saga", "gift", "true", None),
    ]
    assert names == ()
