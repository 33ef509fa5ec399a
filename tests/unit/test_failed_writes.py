"""What is done about a write that failed, for each thing that there is to know about it."""

import pytest

from sagalog.engine.failed_writes import FIRST_REST, LONGEST_REST, TRIES, TRIES_TOGETHER, next_move
from sagalog.errors import BatchTooLarge, StoreError, StoreFull, StoreReadOnly, StoreUnavailable, WriteRefused

OUTAGES = [StoreUnavailable, StoreReadOnly, StoreFull, StoreError]
REFUSALS = [WriteRefused, OverflowError, KeyError]


@pytest.mark.parametrize("kind", OUTAGES)
def test_while_nothing_can_be_written_all_is_tried_again_in_its_turn(kind: type[Exception]) -> None:
    assert next_move(kind("x"), 500, 1, 0, others_pass=False) == "again"
    assert next_move(kind("x"), 1, 10_000, 0, others_pass=False) == "again"


@pytest.mark.parametrize("kind", OUTAGES)
def test_what_fails_while_others_pass_is_halved_and_then_rests(kind: type[Exception]) -> None:
    assert next_move(kind("x"), 500, 1, 0, others_pass=True) == "halves"
    assert next_move(kind("x"), 1, 10_000, 0, others_pass=True) == "rest"


@pytest.mark.parametrize("kind", OUTAGES)
def test_what_has_failed_together_some_times_is_halved_since_nobody_can_know(kind: type[Exception]) -> None:
    moves = [next_move(kind("x"), 2, tries, 0, others_pass=False) for tries in range(1, TRIES_TOGETHER + 1)]
    assert moves == ["again"] * (TRIES_TOGETHER - 1) + ["halves"]


@pytest.mark.parametrize("kind", REFUSALS)
@pytest.mark.parametrize("others_pass", [False, True])
def test_what_is_refused_is_halved_at_once_and_alone_it_is_believed_after_some_tries(
    kind: type[Exception], others_pass: bool
) -> None:
    assert next_move(kind("x"), 2, 1, 0, others_pass) == "halves"
    moves = [next_move(kind("x"), 1, refusals, refusals, others_pass) for refusals in range(1, TRIES + 1)]
    assert moves == ["rest"] * (TRIES - 1) + ["give up"]


def test_a_refusal_is_believed_after_some_seconds_and_not_before() -> None:
    rests = [min(LONGEST_REST, FIRST_REST * 2**number) for number in range(TRIES - 1)]
    assert 2.5 < sum(rests) < 10


@pytest.mark.parametrize("others_pass", [False, True])
def test_what_is_too_large_is_halved_at_once_and_alone_it_is_an_outage_like_any_other(others_pass: bool) -> None:
    assert next_move(BatchTooLarge("x"), 2, 1, 0, others_pass) == "halves"
    assert next_move(BatchTooLarge("x"), 1, 1, 0, others_pass) == ("rest" if others_pass else "again")
