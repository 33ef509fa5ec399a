"""Sagas that are steps of others: what the kernel of the parent decides, and what that of the child."""

from typing import Any

from kernel.child_notes import child_begun, child_ended, undo_child
from kernel.stories import Choice, Plan, began, did, failed, resume, saga_of, start, undid

from sagalog import ChildResult, Saga
from sagalog.readmodel.result import result_of
from sagalog.readmodel.rows import status_row, step_rows
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.evolve import fold
from sagalog.saga.react import CallOff, Effect, RunAction, RunCompensation, Wait, WatchDeadline
from sagalog.saga.redecide import first_divergence
from sagalog.testing.kernel import START, Given, given


def effects(story: Given) -> list[Effect]:
    return [effect for effect in story.effects if not isinstance(effect, WatchDeadline)]


def child(**options: Any) -> Saga[Choice]:
    """A step, a saga for a step, another step."""
    return saga_of([Plan("a")], [Plan("b", kind="child", **options)], [Plan("c")])


def running(saga: Saga[Choice]) -> Given:
    """Go to where the child was started."""
    return start(saga).when(did("a")).then(e.StepSucceeded).when(child_begun("b")).then(e.ChildStarted)


def waiting_for(story: Given) -> str | None:
    assert story.state is not None
    return status_row(story.definition, "parent", story.state).waiting_for


# ---------------------------------------------------------------------------------------------- the parent forwards


def test_a_child_is_started_recorded_and_waited_for() -> None:
    story = start(child()).when(did("a")).then(e.StepSucceeded)
    assert effects(story) == [RunAction("b", 1)]
    story = story.when(child_begun("b")).then(e.ChildStarted(time=0, step="b", saga="child", child="child-1"))
    assert effects(story) == [Wait("b", "action", 1, None)]
    assert waiting_for(story) == "child child child-1"


def test_being_told_again_that_it_was_started_is_no_news() -> None:
    """Invariant 28: starting a child is idempotent."""
    running(child()).when(child_begun("b")).then_nothing()


def test_a_child_that_completes_is_the_result_of_its_step() -> None:
    story = running(child()).when(child_ended("b", "completed")).then(e.StepSucceeded)
    assert effects(story) == [RunAction("c", 1)]
    result = result_of(story.definition, fold(story.events))
    assert result.data["b"] == ChildResult("child-1", "completed", {})


def test_a_child_that_failed_has_undone_itself_and_was_refused() -> None:
    """Invariants 16 and 28: its error is the cause, and there is nothing to undo of it."""
    story = running(child()).when(child_ended("b", "failed")).then(e.StepFailed, e.CompensationStarted)
    state = story.state
    assert state is not None
    assert state.plan == ("a",)
    assert state.cause == e.ErrorInfo("Refused", "child letters child-1: no", "refused", "b")


def test_an_end_that_comes_before_it_is_recorded_that_the_child_began_is_taken_all_the_same() -> None:
    """Invariants 3 and 5: the process that started it died in between."""
    story = start(child()).when(did("a")).then(e.StepSucceeded)
    done = story.when(child_ended("b", "completed")).then(e.ChildStarted, e.StepSucceeded)
    assert effects(done) == [RunAction("c", 1)]
    story.when(child_ended("b", "failed")).then(e.ChildStarted, e.StepFailed, e.CompensationStarted)
    done.when(child_begun("b")).then_nothing()


def test_the_same_note_is_taken_once_and_a_stray_one_is_recorded_and_moves_nothing() -> None:
    """Invariant 7."""
    story = running(child()).when(child_ended("b", "completed")).then(e.StepSucceeded)
    story.when(child_ended("b", "completed")).then_nothing()
    story.when(child_ended("b", "failed", id="other")).then(e.EventReceived)
    running(child()).when(child_ended("b", "completed", child="another")).then(e.EventReceived)


def test_a_stuck_child_shows_in_what_its_parent_waits_for() -> None:
    """Invariant 48."""
    story = running(child()).when(child_ended("b", "stuck")).then(e.EventReceived)
    assert waiting_for(story) == "child child child-1: stuck"
    story = story.when(child_ended("b", "running", id="2")).then(e.EventReceived)
    assert waiting_for(story) == "child child child-1"
    story.when(child_ended("b", "completed", id="3")).then(e.StepSucceeded)


def test_a_mistake_in_making_the_childs_input_makes_the_parent_stuck() -> None:
    """Invariant 12."""
    story = start(child()).when(did("a")).then(e.StepSucceeded)
    story = story.when(failed("b", "fault")).then(e.StepFailed, e.SagaStuck)
    story = story.when(resume()).then(e.SagaResumed)
    assert effects(story) == [RunAction("b", 2)]


def test_after_the_pivot_a_child_that_failed_needs_a_person_and_a_resume_starts_another() -> None:
    """Invariants 6 and 13: the answer of a saga that has ended never changes."""
    saga = saga_of([Plan("p", pivot=True, undo="waived")], [Plan("b", kind="child")])
    story = start(saga).when(did("p")).then(e.StepSucceeded).when(child_begun("b")).then(e.ChildStarted)
    story = story.when(child_ended("b", "failed")).then(e.StepFailed, e.SagaStuck)
    story = story.when(resume()).then(e.SagaResumed)
    story.when(child_begun("b")).then_nothing()
    story.when(child_ended("b", "failed", id="again")).then(e.EventReceived)
    story = story.when(child_begun("b", "child-2", round=1)).then(e.ChildStarted)
    story.when(child_ended("b", "completed", child="child-2", round=1, id="2")).then(e.StepSucceeded, e.SagaCompleted)


# --------------------------------------------------------------------------------------------- the parent backwards


def completed_and_refused() -> Given:
    story = running(child()).when(child_ended("b", "completed")).then(e.StepSucceeded)
    return story.when(failed("c", "refused")).then(e.StepFailed, e.CompensationStarted, e.ChildUndoSent)


def test_a_completed_child_is_asked_to_undo_itself_once_and_waited_for() -> None:
    """Invariants 17 and 28: what lies before it is undone only then."""
    story = completed_and_refused()
    assert effects(story) == [Wait("b", "compensation", 1, None)]
    assert waiting_for(story) == "undoing of child child child-1"
    story = story.when(child_ended("b", "failed", id="2")).then(e.StepCompensated)
    assert effects(story) == [RunCompensation("a", 0, 1)]
    ended = story.when(undid("a")).then(e.StepCompensated, e.SagaFailed)
    state = ended.state
    assert state is not None
    rows = {(row.step, row.direction): row.status for row in step_rows(ended.definition, "parent", None, state)}
    assert rows["b", "compensation"] == "compensated"


def test_a_child_that_is_stuck_while_it_undoes_itself_holds_its_parent_and_shows() -> None:
    """Invariants 24 and 28: it never stops silently at the boundary."""
    story = completed_and_refused().when(child_ended("b", "stuck", id="2")).then(e.EventReceived)
    assert waiting_for(story) == "undoing of child child child-1: stuck"
    assert effects(story) == [Wait("b", "compensation", 1, None)]


def beside() -> Saga[Choice]:
    """A child beside a step."""
    return saga_of([Plan("x"), Plan("b", kind="child")])


def test_a_parent_that_rolls_back_while_its_child_runs_asks_it_to_undo_and_waits_for_its_end() -> None:
    """Invariants 18 and 28."""
    story = start(beside()).when(child_begun("b")).then(e.ChildStarted)
    story = story.when(failed("x", "refused")).then(e.StepFailed, e.CompensationStarted, e.ChildUndoSent)
    assert effects(story) == [Wait("b", "action", 1, None)]
    assert waiting_for(story) == "undoing of child child child-1"
    story.when(child_ended("b", "failed")).then(e.StepFailed, e.SagaFailed)


def test_a_child_that_completed_before_it_was_asked_is_undone_by_the_question_that_is_on_its_way() -> None:
    """Invariants 20 and 28: it is not asked twice."""
    story = start(beside()).when(child_begun("b")).then(e.ChildStarted)
    story = story.when(failed("x", "refused")).then(e.StepFailed, e.CompensationStarted, e.ChildUndoSent)
    story = story.when(child_ended("b", "completed")).then(e.StepSucceeded)
    assert effects(story) == [Wait("b", "compensation", 1, None)]
    story.when(child_ended("b", "failed", id="2")).then(e.StepCompensated, e.SagaFailed)


def test_whether_a_child_was_started_is_found_out_before_anything_is_undone() -> None:
    """Invariants 18, 21, 22 and 28: a child that nobody knows of is called off, so that nobody can start it later."""
    story = start(beside()).when(failed("x", "refused")).then(e.StepFailed, e.CompensationStarted)
    assert effects(story) == [CallOff("b", 1)]
    story = story.when(child_begun("b")).then(e.ChildStarted, e.ChildUndoSent)
    story.when(child_ended("b", "failed")).then(e.StepFailed, e.SagaFailed)


def test_a_mistake_in_making_the_input_while_rolling_back_says_nothing_of_the_child() -> None:
    story = start(beside()).when(failed("x", "refused")).then(e.StepFailed, e.CompensationStarted)
    story.when(failed("b", "fault")).then_nothing()


def test_a_child_of_which_nothing_is_to_be_undone_is_waited_for_and_not_asked() -> None:
    """Invariant 18."""
    saga = saga_of([Plan("x"), Plan("b", kind="child", undo="waived")])
    story = start(saga).when(child_begun("b")).then(e.ChildStarted)
    story = story.when(failed("x", "refused")).then(e.StepFailed, e.CompensationStarted)
    assert effects(story) == [Wait("b", "action", 1, None)]
    story.when(child_ended("b", "completed")).then(e.StepSucceeded, e.SagaFailed)


def test_the_deadline_of_a_parent_undoes_its_child() -> None:
    """Invariants 28 and 30."""
    story = running(child())
    late = START + 3_600_000_000
    story.when(i.DeadlineReached(), late).then(e.CompensationStarted, e.ChildUndoSent)


# ---------------------------------------------------------------------------------------------------- the child


def as_child(saga: Saga[Choice], **options: Any) -> Given:
    first = began(saga)
    told = i.Start(first.key, first.input, 1, "c", parent="parent", parent_step="b", **options)
    started = given(saga).when(told)
    return started.then(*map(type, started.decided()))


def test_a_child_that_is_asked_while_it_runs_rolls_back() -> None:
    story = as_child(saga_of([Plan("a")], [Plan("c")])).when(did("a")).then(e.StepSucceeded)
    story = story.when(undo_child()).then(e.UndoAsked, e.CompensationStarted)
    state = story.state
    assert state is not None
    assert state.cause is not None
    assert (state.cause.kind, state.plan) == ("parent", ("c", "a"))


def test_a_completed_child_that_is_asked_undoes_everything_and_has_then_failed() -> None:
    """Invariant 28."""
    story = as_child(saga_of([Plan("a")], [Plan("c", undo="waived")])).when(did("a")).then(e.StepSucceeded)
    story = story.when(did("c")).then(e.StepSucceeded, e.SagaCompleted)
    story = story.when(undo_child()).then(e.UndoAsked, e.CompensationStarted)
    assert effects(story) == [RunCompensation("a", 0, 1)]
    story = story.when(undid("a")).then(e.StepCompensated, e.SagaFailed)
    assert story.state is not None
    assert story.state.ended is not None


def test_a_completed_child_without_anything_to_undo_fails_at_once() -> None:
    story = as_child(saga_of([Plan("a", undo="waived")])).when(did("a")).then(e.StepSucceeded, e.SagaCompleted)
    story.when(undo_child()).then(e.UndoAsked, e.CompensationStarted, e.SagaFailed)


def test_a_child_that_has_failed_or_is_rolled_back_already_only_records_that_it_was_asked() -> None:
    """Invariant 23."""
    story = as_child(saga_of([Plan("a")], [Plan("c")])).when(did("a")).then(e.StepSucceeded)
    story = story.when(failed("c", "refused")).then(e.StepFailed, e.CompensationStarted)
    story = story.when(undo_child()).then(e.UndoAsked)
    story = story.when(undid("a")).then(e.StepCompensated, e.SagaFailed)
    story.when(undo_child(id="2")).then(e.UndoAsked)
    story.when(undo_child()).then_nothing()


def test_a_stuck_child_that_is_asked_rolls_back_when_a_person_lets_it_go_on() -> None:
    """Invariant 12: a mistake in a program is not undone before somebody has looked at it."""
    story = as_child(saga_of([Plan("a")], [Plan("c")])).when(did("a")).then(e.StepSucceeded)
    story = story.when(failed("c", "fault")).then(e.StepFailed, e.SagaStuck)
    story = story.when(undo_child()).then(e.UndoAsked)
    assert effects(story) == []
    story.when(resume()).then(e.SagaResumed, e.CompensationStarted)


def test_a_child_that_is_called_off_has_ended_before_anything_begins() -> None:
    """Invariants 16, 21 and 22: it is a tombstone."""
    story = as_child(saga_of([Plan("a")]), called_off=True)
    assert [type(event) for event in story.events] == [e.SagaStarted, e.SagaFailed]
    assert effects(story) == []


def test_a_child_with_a_pivot_is_never_undone_by_a_question() -> None:
    """Invariant 13."""
    saga = saga_of([Plan("p", pivot=True, undo="waived")], [Plan("c")])
    story = as_child(saga).when(did("p")).then(e.StepSucceeded)
    story.when(undo_child()).then(e.EventReceived)


def test_the_histories_of_parents_and_children_are_decided_again_as_they_were() -> None:
    """Invariant 39."""
    parent = completed_and_refused().when(child_ended("b", "stuck", id="2")).then(e.EventReceived)
    parent = parent.when(child_ended("b", "failed", id="3")).then(e.StepCompensated)
    early = start(child()).when(did("a")).then(e.StepSucceeded)
    early = early.when(child_ended("b", "failed")).then(e.ChildStarted, e.StepFailed, e.CompensationStarted)
    asked = as_child(saga_of([Plan("a")])).when(undo_child()).then(e.UndoAsked, e.CompensationStarted)
    for story in (parent, early, asked, as_child(saga_of([Plan("a")]), called_off=True)):
        assert first_divergence(story.definition, story.events) is None


def test_the_digest_names_the_child() -> None:
    """Invariant 41."""
    digests = {
        child().definition.digest,
        child(undo="waived").definition.digest,
        saga_of([Plan("a")], [Plan("b")], [Plan("c")]).definition.digest,
    }
    assert len(digests) == 3
