"""What is done about a write that failed, for each thing that there is to know about it."""

import pytest

from sagalog.engine.writing.failed_writes import (
    LONGEST_DOUBT,
    RESTS,
    TRIES,
    is_believed,
    is_its_own,
    next_move,
)
from sagalog.errors import (
    BatchTooLarge,
    RowsLocked,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
    WriteRefused,
)

OUTAGES = [StoreUnavailable, StoreReadOnly, StoreFull, StoreError]
REFUSALS = [WriteRefused, OverflowError, KeyError]


@pytest.mark.parametrize("kind", [*OUTAGES, *REFUSALS, BatchTooLarge])
@pytest.mark.parametrize("others_pass", [False, True])
def test_several_are_halved_whatever_it_was(kind: type[Exception], others_pass: bool) -> None:
    assert next_move(kind("x"), 2, 0, others_pass) == "halves"


@pytest.mark.parametrize("kind", [*OUTAGES, BatchTooLarge])
def test_one_is_tried_for_ever_and_rests_while_others_pass(kind: type[Exception]) -> None:
    assert next_move(kind("x"), 1, 10_000, others_pass=False) == "again"
    assert next_move(kind("x"), 1, 10_000, others_pass=True) == "rest"


@pytest.mark.parametrize("kind", REFUSALS)
@pytest.mark.parametrize("others_pass", [False, True])
def test_one_that_is_refused_rests_and_is_believed_after_some_tries(kind: type[Exception], others_pass: bool) -> None:
    moves = [next_move(kind("x"), 1, refusals, others_pass) for refusals in range(1, TRIES + 1)]
    assert moves == ["rest"] * (TRIES - 1) + ["give up"]


@pytest.mark.parametrize("kind", [*OUTAGES, *REFUSALS])
def test_several_are_not_taken_for_an_outage_if_it_is_of_them(kind: type[Exception]) -> None:
    assert is_its_own(kind("x"), 2, others_pass=True)
    assert is_its_own(kind("x"), 2, others_pass=False) == (kind in REFUSALS)
    assert is_its_own(BatchTooLarge("x"), 2, others_pass=False)
    assert not is_its_own(BatchTooLarge("x"), 1, others_pass=False)


def test_a_refusal_is_believed_after_some_seconds_and_not_before() -> None:
    rests = [RESTS.after(number + 1) for number in range(TRIES - 1)]
    assert 2.5 < sum(rests) < 10


def test_rows_that_are_known_to_be_locked_are_no_outage() -> None:
    assert is_its_own(RowsLocked("x", frozenset({"saga"})), 1, others_pass=False)
    assert next_move(RowsLocked("x", frozenset({"saga"})), 1, 0, others_pass=False) == "rest"
    assert not is_its_own(RowsLocked("x"), 1, others_pass=False)


def test_a_refusal_is_of_the_write_if_others_pass_or_when_nobody_can_tell_for_a_minute() -> None:
    assert is_believed(others_pass=True, seconds=0)
    assert not is_believed(others_pass=False, seconds=LONGEST_DOUBT - 1)
    assert is_believed(others_pass=False, seconds=LONGEST_DOUBT)
