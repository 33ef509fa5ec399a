"""What is told to a saga instead of what its database does not take, and what is kept of that."""

import pytest
from msgspec import Raw
from msgspec.structs import replace

from sagalog.engine.sagas.unwritable import instead_of, is_news, is_success
from sagalog.errors import WriteRefused
from sagalog.saga.events import SagaStarted, error_from
from sagalog.saga.evolve import fold
from sagalog.saga.inputs import ActionFailed, ActionSucceeded, DeadlineReached, Input, UndoFailed, UndoSucceeded
from sagalog.saga.state import NOT_ASKED, NOT_BEGUN, UNTOUCHED, ActionStatus, SagaState, Side, StepState, UndoStatus

PROBLEM = WriteRefused("caf\u00e9 is not allowed")
FAILED = error_from("error", "OSError", "no answer")
PAID = ActionSucceeded("pay", 2, 1, Raw(b"5"))
REFUNDED = UndoSucceeded("pay", 1, 2, 1)


def state_with(pay: StepState) -> SagaState:
    started = SagaStarted(time=1, saga="s", version=1, digest="d", input=Raw(b"1"), key="k", correlation_id="c")
    return replace(fold([started]), steps={"pay": pay})


@pytest.mark.parametrize("told", [PAID, ActionFailed("pay", 2, 1, FAILED)])
@pytest.mark.parametrize(("attempts", "attempt"), [(0, 2), (1, 2), (2, 3), (5, 6)])
def test_an_outcome_becomes_a_fault_of_an_attempt_that_is_news(told: Input, attempts: int, attempt: int) -> None:
    found = instead_of(told, StepState(Side("open", attempts), NOT_ASKED), PROBLEM)
    assert isinstance(found, ActionFailed)
    assert (found.step, found.attempt, found.error.kind) == ("pay", attempt, "fault")
    assert found.error.message.isascii()


@pytest.mark.parametrize("told", [REFUNDED, UndoFailed("pay", 1, 2, 1, FAILED)])
@pytest.mark.parametrize(("attempts", "attempt"), [(1, 2), (2, 3), (5, 6)])
def test_an_undoing_likewise(told: Input, attempts: int, attempt: int) -> None:
    found = instead_of(told, StepState(NOT_BEGUN, Side("pending", attempts)), PROBLEM)
    assert isinstance(found, UndoFailed)
    assert (found.step, found.epoch, found.attempt, found.error.kind) == ("pay", 1, attempt, "fault")


def test_nothing_is_said_instead_of_what_is_no_outcome() -> None:
    assert instead_of(DeadlineReached(), UNTOUCHED, PROBLEM) is None


def test_only_what_is_done_is_kept() -> None:
    assert [is_success(told) for told in (PAID, REFUNDED, DeadlineReached())] == [True, True, False]
    assert not is_success(ActionFailed("pay", 2, 1, FAILED))


@pytest.mark.parametrize(
    ("action", "undo", "news"),
    [
        ("open", "none", True),
        ("unknown", "pending", True),
        ("unknown", "failed", True),
        ("unknown", "compensated", False),
        ("succeeded", "none", False),
        ("skipped", "none", False),
    ],
)
def test_a_success_is_news_until_it_is_recorded_or_undone(action: ActionStatus, undo: UndoStatus, news: bool) -> None:
    assert is_news(state_with(StepState(Side(action), Side(undo))), PAID) == news


@pytest.mark.parametrize(
    ("undo", "epoch", "news"),
    [("failed", 1, True), ("pending", 1, True), ("compensated", 1, False), ("failed", 2, False)],
)
def test_an_undoing_is_news_while_that_very_one_is_not_recorded(undo: UndoStatus, epoch: int, news: bool) -> None:
    assert is_news(state_with(StepState(Side("succeeded"), Side(undo), epoch=epoch)), REFUNDED) == news


def test_nothing_else_is_ever_news() -> None:
    assert not is_news(state_with(UNTOUCHED), DeadlineReached())
