"""The rules at the head of `sagalog.saga.decide`, one by one, as given / when / then."""

import pytest
from kernel.stories import Plan, began, did, failed, line, resume, saga_of, undid, undo_failed

from sagalog.errors import DivergentHistory, InvalidAction
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.react import AwaitEnd, RunAction, RunCompensation, WatchDeadline
from sagalog.testing.kernel import START, given

SECOND = 1_000_000
HOUR = 3600 * SECOND


def plans(decided: list[e.SagaEvent]) -> list[tuple[str, ...]]:
    return [event.plan for event in decided if isinstance(event, e.CompensationStarted)]


def test_steps_run_one_after_the_other_and_then_the_saga_completes() -> None:
    saga = line("a", "b")
    one = given(saga, began(saga))
    assert one.effects == [RunAction("a", 1), WatchDeadline(START + HOUR)]
    two = one.when(did("a")).then(e.StepSucceeded)
    assert two.effects[0] == RunAction("b", 1)
    assert two.when(did("b")).then(e.StepSucceeded, e.SagaCompleted).effects == []


def test_a_parallel_group_runs_at_once_and_the_next_step_waits_for_all() -> None:
    saga = saga_of([Plan("a"), Plan("b")], [Plan("c")])
    one = given(saga, began(saga))
    assert one.effects[:2] == [RunAction("a", 1), RunAction("b", 1)]
    two = one.when(did("b")).then(e.StepSucceeded)
    assert two.effects[0] == RunAction("a", 1)
    assert two.when(did("a")).then(e.StepSucceeded).effects[0] == RunAction("c", 1)


def test_a_step_whose_condition_is_false_is_skipped_and_the_skip_recorded() -> None:
    saga = saga_of([Plan("a")], [Plan("b", conditional=True)], [Plan("c")])
    one = given(saga, began(saga, "b")).when(did("a")).then(e.StepSucceeded, e.StepSkipped)
    assert one.effects[0] == RunAction("c", 1)


# Rule 1


def test_a_success_told_again_is_no_news() -> None:
    """Invariant 7."""
    saga = line("a", "b")
    given(saga, began(saga)).when(did("a")).then(e.StepSucceeded).when(did("a")).then_nothing()


# Rule 2


def test_a_late_success_of_a_step_that_was_given_up_is_undone_exactly_once() -> None:
    """Invariant 20."""
    saga = line("a")
    ended = (
        given(saga, began(saga))
        .when(failed("a"))
        .then(e.StepFailed)
        .when(failed("a", attempt=2))
        .then(e.StepFailed, e.CompensationStarted)
        .when(undid("a"))
        .then(e.StepCompensated, e.SagaFailed)
    )
    late = ended.when(did("a", 2)).then(e.StepSucceeded, e.CompensationStarted)
    assert late.effects == [RunCompensation("a", 1, 2)]
    late.when(undid("a", epoch=0)).then_nothing()
    undone = late.when(undid("a", 2, epoch=1)).then(e.StepCompensated, e.SagaFailed)
    # Invariant 25: the first cause survives the second rolling back.
    assert undone.state is not None
    assert undone.state.cause is not None
    assert (undone.state.cause.kind, undone.state.cause.step) == ("error", "a")
    undone.when(did("a", 2)).then_nothing()
    undone.when(undid("a", 2, epoch=1)).then_nothing()


def test_a_late_success_while_the_empty_compensation_runs_asks_for_a_real_one() -> None:
    """Invariant 20: the compensation that runs has another identity and does not count."""
    saga = line("a")
    undoing = (
        given(saga, began(saga))
        .when(failed("a"))
        .then(e.StepFailed)
        .when(failed("a", attempt=2))
        .then(e.StepFailed, e.CompensationStarted)
    )
    late = undoing.when(did("a")).then(e.StepSucceeded)
    late.when(undid("a")).then_nothing()
    late.when(undid("a", epoch=1)).then(e.StepCompensated, e.SagaFailed)


def test_a_step_that_was_refused_and_succeeded_after_all_is_undone() -> None:
    """Invariant 20."""
    saga = saga_of([Plan("a"), Plan("b")])
    compensating = given(saga, began(saga)).when(failed("a", "refused")).then(e.StepFailed, e.CompensationStarted)
    late = compensating.when(did("a")).then(e.StepSucceeded, e.CompensationStarted)
    settled = late.when(failed("b", "refused")).then(e.StepFailed)
    settled.when(undid("a")).then(e.StepCompensated, e.SagaFailed)


# Rule 3


def test_a_refused_step_is_neither_retried_nor_undone() -> None:
    """Invariants 9 and 16."""
    saga = line("a", "b")
    given(saga, began(saga)).when(failed("a", "refused")).then(e.StepFailed, e.SagaFailed)
    two = given(saga, began(saga)).when(did("a")).then(e.StepSucceeded)
    decided = two.when(failed("b", "refused")).then(e.StepFailed, e.CompensationStarted).events
    assert plans(decided) == [("a",)]


# Rule 4


@pytest.mark.parametrize("kind", ["error", "timeout", "lost"])
def test_an_unknown_outcome_is_retried_and_then_given_up_and_undone(kind: e.ErrorKind) -> None:
    """Invariant 9: only a refusal exempts a step from being undone."""
    saga = line("a")
    once = given(saga, began(saga)).when(failed("a", kind)).then(e.StepFailed)
    assert once.effects[0] == RunAction("a", 2, START + 10 * SECOND)
    decided = once.when(failed("a", kind, 2)).then(e.StepFailed, e.CompensationStarted).events
    assert plans(decided) == [("a",)]


def test_an_unknown_outcome_is_not_retried_after_the_deadline() -> None:
    saga = line("a")
    given(saga, began(saga)).when(failed("a"), START + HOUR).then(e.StepFailed, e.CompensationStarted)


# Rule 5


def test_a_fault_makes_the_saga_stuck_and_undoes_nothing() -> None:
    """Invariant 12."""
    saga = line("a", "b")
    stuck = (
        given(saga, began(saga))
        .when(did("a"))
        .then(e.StepSucceeded)
        .when(failed("b", "fault"))
        .then(e.StepFailed, e.SagaStuck)
    )
    assert stuck.effects == []
    resumed = stuck.when(resume()).then(e.SagaResumed)
    assert resumed.effects[0] == RunAction("b", 2)
    resumed.when(did("b", 2)).then(e.StepSucceeded, e.SagaCompleted)


def test_a_condition_that_raises_makes_the_saga_stuck() -> None:
    """Invariant 12."""
    saga = saga_of([Plan("a")])

    @saga.step(when=lambda choice: bool(choice.nothing_of_the_kind), compensation=None)  # type: ignore[attr-defined]
    def b() -> None: ...

    stuck = given(saga, began(saga)).when(did("a")).then(e.StepSucceeded, e.SagaStuck)
    assert stuck.state is not None
    assert "AttributeError" in (stuck.state.reason or "")


# Rule 6


def test_after_the_pivot_a_step_that_does_not_succeed_makes_the_saga_stuck() -> None:
    """Invariant 13."""
    saga = saga_of([Plan("a")], [Plan("p", "waived", pivot=True)], [Plan("c", attempts=1)])
    passed = given(saga, began(saga)).when(did("a")).then(e.StepSucceeded).when(did("p")).then(e.StepSucceeded)
    for kind in ("refused", "error", "timeout"):
        stuck = passed.when(failed("c", kind)).then(e.StepFailed, e.SagaStuck)
        stuck.when(resume()).then(e.SagaResumed).when(did("c", 2)).then(e.StepSucceeded, e.SagaCompleted)


def test_a_pivot_whose_outcome_nobody_knows_is_left_to_a_person() -> None:
    """Invariants 9 and 13."""
    saga = saga_of([Plan("a")], [Plan("p", "waived", pivot=True, attempts=1)])
    before = given(saga, began(saga)).when(did("a")).then(e.StepSucceeded)
    before.when(failed("p")).then(e.StepFailed, e.SagaStuck)
    before.when(failed("p", "refused")).then(e.StepFailed, e.CompensationStarted)


# Rule 7


def test_while_rolling_back_what_is_under_way_is_waited_for_and_undone() -> None:
    """Invariants 18 and 19."""
    saga = saga_of([Plan("a"), Plan("b"), Plan("c")])
    back = (
        given(saga, began(saga))
        .when(did("a"))
        .then(e.StepSucceeded)
        .when(failed("c", "refused"))
        .then(e.StepFailed, e.CompensationStarted)
    )
    assert back.effects == [AwaitEnd("b", 1)]
    settled = back.when(did("b")).then(e.StepSucceeded)
    assert settled.effects == [RunCompensation("a", 0, 1), RunCompensation("b", 0, 1)]
    lost = back.when(failed("b", "lost")).then(e.StepFailed)
    assert lost.effects == settled.effects


# Rule 8


def test_undoing_goes_in_reverse_causal_order() -> None:
    """Invariant 17."""
    saga = saga_of([Plan("a")], [Plan("b"), Plan("c")], [Plan("d", attempts=1)])
    story = given(saga, began(saga))
    for step in "abc":
        story = story.when(did(step)).then(e.StepSucceeded)
    story = story.when(failed("d")).then(e.StepFailed, e.CompensationStarted)
    assert plans(story.events) == [("d", "c", "b", "a")]
    assert story.effects == [RunCompensation("d", 0, 1)]
    story = story.when(undid("d")).then(e.StepCompensated)
    assert story.effects == [RunCompensation("b", 0, 1), RunCompensation("c", 0, 1)]
    story = story.when(undid("b")).then(e.StepCompensated)
    assert story.effects == [RunCompensation("c", 0, 1)]
    story = story.when(undid("c")).then(e.StepCompensated)
    assert story.effects == [RunCompensation("a", 0, 1)]
    story.when(undid("a")).then(e.StepCompensated, e.SagaFailed)


# Rule 9


def test_a_compensation_has_a_budget_of_its_own_and_then_a_person_is_asked() -> None:
    """Invariants 23, 24, 25 and 26."""
    saga = line("a", "b")
    story = given(saga, began(saga)).when(failed("a")).then(e.StepFailed).when(did("a", 2)).then(e.StepSucceeded)
    story = story.when(failed("b", "refused")).then(e.StepFailed, e.CompensationStarted)
    story = story.when(undo_failed("a")).then(e.CompensationFailed)
    assert story.effects == [RunCompensation("a", 0, 2, START + 10 * SECOND)]
    stuck = story.when(undo_failed("a", "timeout", 2)).then(e.CompensationFailed, e.SagaStuck)
    assert stuck.state is not None
    assert stuck.state.pending == ("a",)
    assert stuck.state.cause is not None
    assert (stuck.state.cause.step, stuck.state.cause.kind) == ("b", "refused")
    assert [f.error.kind for f in stuck.events if isinstance(f, e.CompensationFailed)] == ["error", "timeout"]
    resumed = stuck.when(resume()).then(e.SagaResumed)
    assert resumed.effects == [RunCompensation("a", 0, 3)]
    resumed.when(undid("a", 3)).then(e.StepCompensated, e.SagaFailed)


@pytest.mark.parametrize("kind", ["refused", "fault"])
def test_a_compensation_that_cannot_be_made_makes_the_saga_stuck_at_once(kind: e.ErrorKind) -> None:
    """Invariant 24."""
    saga = line("a", "b")
    story = given(saga, began(saga)).when(did("a")).then(e.StepSucceeded)
    story = story.when(failed("b", "refused")).then(e.StepFailed, e.CompensationStarted)
    story.when(undo_failed("a", kind)).then(e.CompensationFailed, e.SagaStuck)


def test_one_compensation_that_failed_does_not_stop_those_beside_it() -> None:
    """Invariant 24: the others are undone, and what is left is listed."""
    saga = saga_of([Plan("a"), Plan("b")], [Plan("c")])
    story = given(saga, began(saga)).when(did("a")).then(e.StepSucceeded).when(did("b")).then(e.StepSucceeded)
    story = story.when(failed("c", "refused")).then(e.StepFailed, e.CompensationStarted)
    story = story.when(undo_failed("a", "refused")).then(e.CompensationFailed)
    assert story.effects == [RunCompensation("b", 0, 1)]
    stuck = story.when(undid("b")).then(e.StepCompensated, e.SagaStuck)
    assert stuck.state is not None
    assert stuck.state.pending == ("a",)
    assert stuck.when(resume()).then(e.SagaResumed).effects == [RunCompensation("a", 0, 2)]


def test_an_unknown_result_that_a_compensation_cannot_take_makes_the_saga_stuck() -> None:
    """Invariant 24."""
    saga = saga_of([Plan("a", "needs result", attempts=1)])
    stuck = given(saga, began(saga)).when(failed("a")).then(e.StepFailed, e.CompensationStarted, e.SagaStuck)
    assert stuck.state is not None
    assert "cannot take None" in (stuck.state.reason or "")
    late = stuck.when(did("a")).then(e.StepSucceeded)
    assert late.when(resume()).then(e.SagaResumed).effects == [RunCompensation("a", 1, 1)]


# Rule 10


def test_the_deadline_rolls_back_and_never_before_its_time() -> None:
    """Invariant 30."""
    saga = line("a", "b")
    story = given(saga, began(saga)).when(did("a")).then(e.StepSucceeded)
    story.when(i.DeadlineReached(), START + HOUR - 1).then_nothing()
    back = story.when(i.DeadlineReached(), START + HOUR).then(e.CompensationStarted)
    assert plans(back.events) == [("b", "a")]
    back.when(i.DeadlineReached(), START + HOUR).then_nothing()


def test_the_deadline_stops_no_compensation_and_ends_no_saga() -> None:
    """Invariants 29 and 30."""
    saga = line("a", "b")
    story = given(saga, began(saga)).when(did("a")).then(e.StepSucceeded)
    back = story.when(failed("b", "refused")).then(e.StepFailed, e.CompensationStarted)
    back.when(i.DeadlineReached(), START + 2 * HOUR).then_nothing()
    retried = back.when(undo_failed("a"), START + 2 * HOUR).then(e.CompensationFailed)
    assert retried.effects == [RunCompensation("a", 0, 2, START + 2 * HOUR + 10 * SECOND)]


def test_the_deadline_means_nothing_once_the_pivot_has_begun() -> None:
    """Invariant 13."""
    saga = saga_of([Plan("a")], [Plan("p", pivot=True)], [Plan("c")])
    story = given(saga, began(saga)).when(did("a")).then(e.StepSucceeded)
    story.when(i.DeadlineReached(), START + HOUR).then_nothing()
    assert WatchDeadline(START + HOUR) not in story.effects
    passed = story.when(did("p")).then(e.StepSucceeded)
    passed.when(failed("c"), START + 2 * HOUR).then(e.StepFailed)


@pytest.mark.parametrize("reply_first", [True, False])
def test_of_reply_and_deadline_exactly_one_wins(reply_first: bool) -> None:
    """Invariant 32."""
    saga = line("a")
    story = given(saga, began(saga))
    if reply_first:
        story.when(did("a")).then(e.StepSucceeded, e.SagaCompleted).when(
            i.DeadlineReached(), START + HOUR
        ).then_nothing()
    else:
        back = story.when(i.DeadlineReached(), START + HOUR).then(e.CompensationStarted)
        undoing = back.when(did("a")).then(e.StepSucceeded)
        undoing.when(undid("a")).then(e.StepCompensated, e.SagaFailed)


# Rule 11


def test_a_refusal_is_not_forgiven_by_a_resume_for_another_reason() -> None:
    saga = saga_of([Plan("a"), Plan("b")])
    stuck = given(saga, began(saga)).when(failed("a", "fault")).then(e.StepFailed, e.SagaStuck)
    both = stuck.when(failed("b", "refused")).then(e.StepFailed)
    back = both.when(resume()).then(e.SagaResumed, e.CompensationStarted)
    assert plans(back.events) == [("a",)]


def test_only_a_stuck_saga_can_be_resumed() -> None:
    """Invariant 49, as far as it is here: an action is validated against the state."""
    saga = line("a")
    given(saga, began(saga)).when(resume()).then(e.ActionRefused)


# Rule 12


def test_an_outcome_of_a_step_that_cannot_have_begun_is_refused() -> None:
    """Invariant 40."""
    saga = line("a", "b")
    story = given(saga, began(saga))
    story.when(did("b")).then_raises(InvalidAction)
    story.when(failed("b")).then_raises(InvalidAction)
    story.when(did("zzz")).then_raises(DivergentHistory)
    given(saga).when(did("a")).then_raises(InvalidAction)


def test_a_start_that_comes_after_the_end_is_recorded_and_makes_nothing() -> None:
    """Invariant 2."""
    saga = line("a")
    ended = given(saga, began(saga)).when(did("a")).then(e.StepSucceeded, e.SagaCompleted)
    ended.when(i.StartAgain("again")).then(e.StartRefused)
    given(saga, began(saga)).when(i.StartAgain("again")).then_nothing()


def test_a_failing_specification_shows_what_was_given_told_expected_and_found() -> None:
    saga = line("a")
    with pytest.raises(AssertionError) as caught:
        given(saga, began(saga)).when(did("a")).then(e.StepFailed)
    text = str(caught.value)
    for part in ("given letters", "SagaStarted(", "ActionSucceeded(step='a'", "StepFailed(...)", "SagaCompleted()"):
        assert part in text
