"""What a person does to a saga that goes forward, or is stuck there: what is decided, and what is refused."""

import pytest
from kernel.acts import effects, refused, stuck, waiting
from kernel.child_notes import child_begun, child_ended
from kernel.stories import Plan, act, did, failed, line, saga_of, start
from msgspec import Raw

from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.react import AwaitEnd, RunAction, RunCompensation, Wait, WatchDeadline
from sagalog.testing.kernel import START

SECOND = 1_000_000


# ---------------------------------------------------------------------------------------------- cancel


def test_a_saga_that_waits_is_cancelled_and_what_it_did_is_undone() -> None:
    story = waiting().when(act("cancel")).then(e.ActionTaken, e.CompensationStarted)
    assert effects(story) == [RunCompensation("a", 0, 1)]
    assert story.state is not None
    assert story.state.cause == e.ErrorInfo("Cancelled", "by ada: mended", "cancelled")
    assert story.state.steps["b"].action.status == "dropped"


def test_an_attempt_under_way_is_waited_for_and_then_undone() -> None:
    """Invariant 18."""
    story = start(line("a", "b")).when(did("a")).then(e.StepSucceeded)
    story = story.when(act("cancel")).then(e.ActionTaken, e.CompensationStarted)
    assert effects(story) == [AwaitEnd("b", 1)]
    story = story.when(did("b")).then(e.StepSucceeded)
    assert effects(story) == [RunCompensation("b", 0, 1)]


def test_the_same_cancel_twice_is_done_once_and_another_one_is_refused() -> None:
    asked = act("cancel")
    story = waiting().when(asked).then(e.ActionTaken, e.CompensationStarted)
    story.when(asked).then_nothing()
    refused(story, act("cancel"), "goes back already, because of Cancelled: by ada: mended")


@pytest.mark.parametrize("done", [True, False])
def test_from_the_pivot_on_nothing_is_cancelled(done: bool) -> None:
    saga = saga_of([Plan("a")], [Plan("p", pivot=True)], [Plan("c")])
    story = start(saga).when(did("a")).then(e.StepSucceeded)
    if done:
        story = story.when(did("p")).then(e.StepSucceeded)
    found = refused(story, act("cancel"), "its pivot p has succeeded" if done else "its pivot p may be under way")
    assert found.allowed == ("amend", "reschedule", "pause", "abandon")


def test_a_stuck_saga_is_cancelled_too() -> None:
    story = stuck().when(act("cancel")).then(e.ActionTaken, e.CompensationStarted)
    # Nobody knows what the step did before its mistake.
    assert effects(story) == [AwaitEnd("b", 2)]


def test_a_stuck_saga_of_which_nothing_of_the_stage_has_begun_undoes_nothing_of_it() -> None:
    saga = saga_of([Plan("a")], [Plan("b", conditional=True)])
    story = start(saga, mistaken=("b",)).when(did("a")).then(e.StepSucceeded, e.SagaStuck)
    story = story.when(act("cancel")).then(e.ActionTaken, e.CompensationStarted)
    assert effects(story) == [RunCompensation("a", 0, 1)]


def test_a_saga_that_has_done_nothing_is_cancelled_at_once() -> None:
    saga = saga_of([Plan("b", kind="wait")], [Plan("c")])
    start(saga).when(act("cancel")).then(e.ActionTaken, e.CompensationStarted, e.SagaFailed)


def test_a_child_is_asked_first() -> None:
    saga = saga_of([Plan("a")], [Plan("b", kind="child")])
    story = start(saga).when(did("a")).then(e.StepSucceeded).when(child_begun("b")).then(e.ChildStarted)
    story = story.when(act("cancel")).then(e.ActionTaken, e.CompensationStarted, e.ChildUndoSent)
    assert effects(story) == [Wait("b", "action", 1, None)]
    story = story.when(child_ended("b", "failed")).then(e.StepFailed)
    assert effects(story) == [RunCompensation("a", 0, 1)]


# ---------------------------------------------------------------------------------------------- retry and resume


def test_what_waits_for_its_retry_is_tried_now() -> None:
    story = start(line("a")).when(failed("a")).then(e.StepFailed)
    assert effects(story) == [RunAction("a", 2, START + 10 * SECOND)]
    story = story.when(act("retry"), START + SECOND).then(e.ActionTaken)
    assert effects(story) == [RunAction("a", 2, START + SECOND)]
    refused(story, act("retry"), "nothing of it has failed", START + SECOND)


def test_a_retry_of_a_stuck_saga_gives_a_fresh_budget() -> None:
    story = stuck().when(act("retry")).then(e.ActionTaken, e.SagaResumed)
    assert effects(story) == [RunAction("b", 2)]
    story = story.when(failed("b", "error", 2)).then(e.StepFailed)
    assert effects(story) == [RunAction("b", 3, START + 10 * SECOND)]


def test_a_resume_remembers_its_action() -> None:
    asked = act("resume")
    story = stuck().when(asked).then(e.SagaResumed)
    story.when(asked).then_nothing()
    refused(story, act("resume"), "it is pending, and only a stuck saga can be resumed")


# ---------------------------------------------------------------------------------------------- skip


def test_a_skipped_step_counts_as_succeeded_and_is_undone_later() -> None:
    story = stuck().when(act("skip", "b", value=Raw(b'"by hand"'))).then(e.ActionTaken, e.StepSucceeded, e.SagaResumed)
    assert effects(story) == [RunAction("c", 1)]
    story = story.when(failed("c", "refused")).then(e.StepFailed, e.CompensationStarted)
    assert effects(story) == [RunCompensation("b", 0, 1)]
    assert story.state is not None
    assert story.state.steps["b"].result == Raw(b'"by hand"')


def test_a_skipped_step_that_is_waived_is_not_undone() -> None:
    asked = act("skip", "b", value=Raw(b'"by hand"'), waive=True)
    story = stuck().when(asked).then(e.ActionTaken, e.StepSucceeded, e.SagaResumed)
    story = story.when(failed("c", "refused")).then(e.StepFailed, e.CompensationStarted)
    assert effects(story) == [RunCompensation("a", 0, 1)]


def test_a_wait_is_skipped_as_if_its_event_had_come() -> None:
    story = waiting().when(act("skip", "b", value=Raw(b'{"key":"key"}'))).then(e.ActionTaken, e.StepSucceeded)
    assert effects(story) == [RunAction("c", 1)]


def test_only_what_may_not_be_under_way_is_skipped() -> None:
    """An outcome under way would be lost, and with it an effect that nobody undoes."""
    story = start(line("a", "b"))
    found = refused(story, act("skip", "a"), "an attempt of a may be under way")
    assert found.allowed == ("cancel", "amend", "reschedule", "pause", "abandon")
    refused(story, act("skip", "b"), "step b has not been reached")
    refused(story, act("skip", "nowhere"), "it has no step 'nowhere'")
    story = story.when(failed("a")).then(e.StepFailed)
    refused(story, act("skip", "a"), "may be under way", START + 10 * SECOND)
    story.when(act("skip", "a"), START + 9 * SECOND).then(e.ActionTaken, e.StepSucceeded)
    done = start(line("a", "b")).when(did("a")).then(e.StepSucceeded)
    refused(done, act("skip", "a"), "step a has succeeded already")


def test_a_part_is_skipped_and_the_others_go_on() -> None:
    saga = saga_of([Plan("a", elements=3)], [Plan("c")])
    story = start(saga).when(failed("a[0]")).then(e.StepFailed)
    refused(story, act("skip", "a"), "name one of its parts, such as a[0]")
    story = story.when(act("skip", "a[0]", value=Raw(b'"x"'))).then(e.ActionTaken, e.StepSucceeded)
    assert effects(story) == [RunAction("a[1]", 1)]


def test_elements_that_cannot_be_found_are_skipped_as_a_whole() -> None:
    saga = saga_of([Plan("a", elements=3)], [Plan("c")])
    story = start(saga, mistaken=("a",)).when(act("skip", "a")).then(e.ActionTaken, e.StepSkipped, e.SagaResumed)
    assert effects(story) == [RunAction("c", 1)]


def test_a_child_is_not_skipped_under_its_parent() -> None:
    story = start(saga_of([Plan("b", kind="child")])).when(child_begun("b")).then(e.ChildStarted)
    refused(story, act("skip", "b"), "step b is the saga child-1; act on that one")


# ---------------------------------------------------------------------------------------------- resolve


def test_an_unknown_outcome_that_happened_is_a_success() -> None:
    asked = act("resolve", "b", happened=True, value=Raw(b'"found"'))
    story = stuck().when(asked).then(e.ActionTaken, e.StepSucceeded, e.SagaResumed)
    assert effects(story) == [RunAction("c", 1)]


def test_an_unknown_outcome_that_did_not_happen_is_a_refusal() -> None:
    story = stuck().when(act("resolve", "b", happened=False)).then(e.ActionTaken, e.StepFailed, e.CompensationStarted)
    assert effects(story) == [RunCompensation("a", 0, 1)]


def test_a_pivot_of_which_nobody_knows_decides_by_what_a_person_found_out() -> None:
    saga = saga_of([Plan("a")], [Plan("p", "waived", pivot=True, attempts=1)], [Plan("c")])
    story = start(saga).when(did("a")).then(e.StepSucceeded).when(failed("p")).then(e.StepFailed, e.SagaStuck)
    forwards = story.when(act("resolve", "p", happened=True, value=Raw(b'"p"')))
    assert effects(forwards.then(e.ActionTaken, e.StepSucceeded, e.SagaResumed)) == [RunAction("c", 1)]
    back = story.when(act("resolve", "p", happened=False))
    assert effects(back.then(e.ActionTaken, e.StepFailed, e.CompensationStarted)) == [RunCompensation("a", 0, 1)]


def test_after_the_pivot_what_did_not_happen_is_left_to_be_resumed() -> None:
    saga = saga_of([Plan("p", pivot=True)], [Plan("c", attempts=1)])
    story = start(saga).when(did("p")).then(e.StepSucceeded).when(failed("c")).then(e.StepFailed, e.SagaStuck)
    story = story.when(act("resolve", "c", happened=False)).then(e.ActionTaken, e.StepFailed)
    assert story.state is not None
    assert story.state.status == "stuck"
    assert effects(story.when(act("resume")).then(e.SagaResumed)) == [RunAction("c", 2)]


def test_what_is_known_is_not_settled() -> None:
    story = waiting()
    refused(story, act("resolve", "a", happened=True), "the outcome of a is known: it is succeeded")
    refused(story, act("resolve", "b", happened=True), "step b only waits")
    refused(story, act("resolve", "c", happened=True), "step c has not been reached")
    refused(start(line("a")), act("resolve", "a", happened=True), "an attempt of a may be under way")


# ---------------------------------------------------------------------------------------------- amend


def test_an_amended_result_is_read_from_now_on() -> None:
    story = stuck().when(act("amend", "a", value=Raw(b'"other"'))).then(e.ActionTaken)
    assert story.state is not None
    assert (story.state.status, story.state.steps["a"].result) == ("stuck", Raw(b'"other"'))
    story = story.when(act("amend", value=Raw(b'{"skipped":["c"],"mistaken":[]}'))).then(e.ActionTaken)
    assert story.state is not None
    assert story.state.input == Raw(b'{"skipped":["c"],"mistaken":[]}')
    refused(story, act("amend", "b", value=Raw(b'"x"')), "step b has no result that could be amended")


# ---------------------------------------------------------------------------------------------- reschedule


def test_the_one_time_that_is_waited_for_is_moved() -> None:
    story = waiting().when(act("reschedule", until=START + 5 * SECOND)).then(e.ActionTaken)
    assert effects(story) == [Wait("b", "action", 1, START + 5 * SECOND)]
    (taken,) = story.events[-1:]
    assert isinstance(taken, e.ActionTaken)
    assert (taken.step, taken.direction) == ("b", "action")


def test_the_deadline_is_moved_if_nothing_else_is_waited_for_or_if_it_is_meant() -> None:
    for story in (start(line("a")), waiting()):
        asked = act("reschedule", until=START + 5 * SECOND, of_deadline=True)
        moved = story.when(asked).then(e.ActionTaken)
        assert WatchDeadline(START + 5 * SECOND) in moved.effects
    story = start(line("a")).when(act("reschedule", until=START + 5 * SECOND)).then(e.ActionTaken)
    assert WatchDeadline(START + 5 * SECOND) in story.effects


def test_of_several_times_one_is_to_be_named() -> None:
    saga = saga_of([Plan("a"), Plan("b")])
    story = start(saga).when(failed("a")).then(e.StepFailed).when(failed("b")).then(e.StepFailed)
    refused(story, act("reschedule", until=START), "it waits for several times; say for which step: a, b")
    story = story.when(act("reschedule", "b", until=START)).then(e.ActionTaken)
    assert effects(story) == [RunAction("a", 2, START + 10 * SECOND), RunAction("b", 2, START)]


def test_what_waits_for_a_person_has_no_time() -> None:
    refused(stuck(), act("reschedule", until=START), "it is stuck, and waits for a person and no time")
    refused(waiting(), act("reschedule", "a", until=START), "step a waits for no time")


# ---------------------------------------------------------------------------------------------- pause


def test_a_paused_saga_begins_nothing_and_takes_what_comes() -> None:
    story = start(line("a", "b")).when(act("pause")).then(e.ActionTaken)
    assert effects(story) == []
    story = story.when(did("a")).then(e.StepSucceeded)
    assert effects(story) == []
    refused(story, act("pause"), "it is paused already, by ada")
    story = story.when(act("unpause")).then(e.ActionTaken)
    assert effects(story) == [RunAction("b", 1)]
    refused(story, act("unpause"), "it is not paused")


def test_a_wait_behind_a_pause_begins_with_the_end_of_the_pause() -> None:
    saga = saga_of([Plan("a")], [Plan("b", kind="wait")])
    story = start(saga).when(act("pause")).then(e.ActionTaken).when(did("a")).then(e.StepSucceeded)
    later = START + 100 * SECOND
    story = story.when(act("unpause"), later).then(e.ActionTaken, e.StepWaiting)
    assert effects(story) == [Wait("b", "action", 1, later + 90 * SECOND)]


def test_a_paused_saga_that_goes_back_undoes_nothing_until_it_may() -> None:
    story = waiting().when(act("pause")).then(e.ActionTaken)
    story = story.when(act("cancel")).then(e.ActionTaken, e.CompensationStarted)
    assert effects(story) == []
    assert effects(story.when(act("unpause")).then(e.ActionTaken)) == [RunCompensation("a", 0, 1)]


def test_a_paused_saga_whose_time_is_over_plans_to_go_back() -> None:
    """Invariant 30: time passes; what follows from it waits for the end of the pause."""
    story = waiting().when(act("pause")).then(e.ActionTaken)
    story = story.when(i.TimerFired("b", "action", 1), START + 90 * SECOND).then(e.StepFailed, e.CompensationStarted)
    assert effects(story) == []
