"""The rows by which one statement writes a batch fit into it, whatever columns the tables get."""

from bisect import bisect_left

from sagalog.stores.columns import STATUS, STEP
from sagalog.stores.sqlite.appending import LARGEST, SIZES, WIDTH

# What SQLite takes in one statement where nobody has built it to take more.
VALUES_OF_A_STATEMENT = 32_766


def test_the_largest_statement_is_taken_by_any_sqlite() -> None:
    assert LARGEST * WIDTH <= VALUES_OF_A_STATEMENT
    # A batch of the engine fits, and what is missing to a size is no more than a third of it.
    assert LARGEST >= 500
    assert all(SIZES[bisect_left(SIZES, number)] <= 1.5 * number for number in range(1, LARGEST + 1))


def test_a_start_and_a_step_share_their_numbered_columns() -> None:
    """The first one is the saga's id in both, by which the triggers find it."""
    assert STATUS.fixed.names[0] == STEP.given.names[0] == "saga_id"
    assert len(STATUS.fixed.names) <= len(STEP.given.names)
