"""The public words for what happens to a saga: each fact of the log has one, and nothing of a fact gets lost unsaid."""

from dataclasses import dataclass

import pytest
from msgspec import Raw
from msgspec.structs import fields

import sagalog.projections
from sagalog.errors import InvalidInput
from sagalog.projections import ChildStarted, SagaStarted, as_type
from sagalog.saga import events as e
from sagalog.saga.happenings import HAPPENINGS, TOLD

# Fields of facts that are in the metadata, in the saga's row, or of no use to a reader.
ELSEWHERE = {
    "time",
    "saga",
    "digest",
    "key",
    "run",
    "correlation_id",
    "causation_id",
    "message",
    "kind",
    "parent_round",
    "called_off",
    "marked",
    "answer",
    "at_once",
    "note",
    "attempt",
    "attributes_error",
}
RENAMED = {"began": "began_at", "deadline": "deadline_at", "fork": "forked_from"}


def test_each_fact_of_the_log_is_told_by_a_word_of_its_own() -> None:
    assert set(TOLD) == set(e.EVENTS)
    assert len(set(HAPPENINGS)) == len(e.EVENTS)
    assert {word.__name__ for word in HAPPENINGS} <= set(sagalog.projections.__all__)


@pytest.mark.parametrize("fact", e.EVENTS)
def test_what_a_fact_says_is_told(fact: type[e.SagaEvent]) -> None:
    told = {field.name for field in fields(TOLD[fact][0])}
    said = {field.name if field.name in told else RENAMED.get(field.name, field.name) for field in fields(fact)}
    assert said - ELSEWHERE <= told


def test_facts_become_events_with_plain_data() -> None:
    started = e.SagaStarted(
        time=1, saga="s", version=2, digest="d", input=Raw(b'{"a": [1, 2.5, null]}'), key="k", correlation_id="c"
    )
    assert TOLD[e.SagaStarted][1](started) == SagaStarted(
        input={"a": [1, 2.5, None]},
        version=2,
        deadline_at=None,
        parent=None,
        parent_step=None,
        forked_from=None,
        attributes={},
    )
    child = e.ChildStarted(time=1, step="x", saga="child", child="id")
    assert TOLD[e.ChildStarted][1](child) == ChildStarted(step="x", saga="child", child="id")


@dataclass
class Order:
    order_id: str
    cents: int


def test_data_can_be_read_as_their_type() -> None:
    assert as_type({"order_id": "o", "cents": 1}, Order) == Order("o", 1)
    with pytest.raises(InvalidInput):
        as_type({"order_id": "o"}, Order)
