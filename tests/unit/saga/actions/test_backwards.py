"""What a person does to a saga that goes back, is stuck there, has completed, or is to be ended as it is."""

from kernel.acts import effects, refused, stuck, waiting
from kernel.child_notes import child_begun, undo_child
from kernel.stories import Plan, act, did, failed, line, saga_of, start, undid, undo_failed
from msgspec import Raw
from msgspec.structs import replace

from sagalog.readmodel.notes import notes_of
from sagalog.readmodel.rows import step_rows
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.actions.notes import ACT, note_of
from sagalog.saga.evolve import fold
from sagalog.saga.react import RunCompensation
from sagalog.testing.kernel import START, Given, given

SECOND = 1_000_000


def going_back() -> Given:
    """Go to where a saga of two steps undoes the first, because the second was refused."""
    story = start(line("a", "b")).when(did("a")).then(e.StepSucceeded)
    return story.when(failed("b", "refused")).then(e.StepFailed, e.CompensationStarted)


def stuck_going_back() -> Given:
    """Go to where that compensation has failed for good."""
    return going_back().when(undo_failed("a", "fault")).then(e.CompensationFailed, e.SagaStuck)


def unknown_and_stuck() -> Given:
    """Go to where a compensation needs a result that nobody knows."""
    story = start(saga_of([Plan("a", "needs result", attempts=1)]))
    return story.when(failed("a")).then(e.StepFailed, e.CompensationStarted, e.SagaStuck)


# ---------------------------------------------------------------------------------------------- what goes back


def test_a_saga_that_goes_back_is_neither_cancelled_nor_skipped() -> None:
    refused(going_back(), act("cancel"), "it goes back already")
    refused(going_back(), act("skip", "a"), "resolve its compensation as happened")


def test_a_compensation_that_waits_for_its_retry_is_tried_now() -> None:
    """Invariant 29: it is never cancelled."""
    story = going_back().when(undo_failed("a")).then(e.CompensationFailed)
    assert effects(story) == [RunCompensation("a", 0, 2, START + 10 * SECOND)]
    story = story.when(act("retry"), START + SECOND).then(e.ActionTaken)
    assert effects(story) == [RunCompensation("a", 0, 2, START + SECOND)]


def test_a_retry_of_what_failed_for_good_gives_a_fresh_budget() -> None:
    story = stuck_going_back().when(act("retry")).then(e.ActionTaken, e.SagaResumed)
    assert effects(story) == [RunCompensation("a", 0, 2)]


def test_what_was_undone_by_hand_is_undone() -> None:
    """Invariant 24."""
    story = stuck_going_back().when(act("resolve", "a", happened=True))
    story.then(e.ActionTaken, e.StepCompensated, e.SagaResumed, e.SagaFailed)


def test_what_could_not_be_undone_without_its_result_may_have_been_undone_by_hand() -> None:
    saga = saga_of([Plan("a")], [Plan("b", "needs result", attempts=1)])
    story = start(saga).when(did("a")).then(e.StepSucceeded)
    story = story.when(failed("b")).then(e.StepFailed, e.CompensationStarted, e.SagaStuck)
    refused(story, act("resolve", "b", happened=False, direction="compensation"), "was not tried")
    by_hand = act("resolve", "b", happened=True, direction="compensation")
    story = story.when(by_hand).then(e.ActionTaken, e.StepCompensated, e.SagaResumed)
    assert effects(story) == [RunCompensation("a", 0, 1)]


def test_what_waits_for_a_later_step_to_be_undone_was_not_undone_by_hand_before() -> None:
    """Invariant 17."""
    saga = saga_of([Plan("a")], [Plan("b", "needs result", attempts=1)])
    story = start(saga).when(did("a")).then(e.StepSucceeded)
    story = story.when(failed("b")).then(e.StepFailed, e.CompensationStarted, e.SagaStuck)
    refused(story, act("resolve", "a", happened=True, direction="compensation"), "has not failed for good")


def test_a_compensation_that_did_not_happen_is_tried_again() -> None:
    story = stuck_going_back().when(act("resolve", "a", happened=False)).then(e.ActionTaken, e.SagaResumed)
    assert effects(story) == [RunCompensation("a", 0, 2)]


def test_a_compensation_under_way_is_not_settled() -> None:
    refused(going_back(), act("resolve", "a", happened=True, direction="compensation"), "it may be under way")
    over = going_back().when(undo_failed("a")).then(e.CompensationFailed)
    refused(over, act("resolve", "a", happened=False), "is tried again by itself")
    over.when(act("resolve", "a", happened=True)).then(e.ActionTaken, e.StepCompensated, e.SagaFailed)


def test_an_unknown_action_is_settled_for_its_compensation() -> None:
    story = unknown_and_stuck()
    happened = story.when(act("resolve", "a", happened=True, value=Raw(b'"r"')))
    told = happened.then(e.ActionTaken, e.StepSucceeded, e.SagaResumed)
    assert effects(told) == [RunCompensation("a", 1, 1)]
    story.when(act("resolve", "a", happened=False)).then(e.ActionTaken, e.StepFailed, e.SagaResumed, e.SagaFailed)


def test_an_action_that_never_happened_needs_no_compensation_although_that_failed() -> None:
    story = start(saga_of([Plan("a", attempts=1)])).when(failed("a")).then(e.StepFailed, e.CompensationStarted)
    story = story.when(undo_failed("a", "fault")).then(e.CompensationFailed, e.SagaStuck)
    asked = act("resolve", "a", happened=False, direction="action")
    story.when(asked).then(e.ActionTaken, e.StepFailed, e.SagaResumed, e.SagaFailed)


def test_a_result_is_amended_for_the_compensation_until_that_is_done() -> None:
    story = stuck_going_back().when(act("amend", "a", value=Raw(b'"other"'))).then(e.ActionTaken)
    story = story.when(act("retry")).then(e.ActionTaken, e.SagaResumed)
    story = story.when(undid("a", 2)).then(e.StepCompensated, e.SagaFailed)
    refused(story, act("amend", "a", value=Raw(b'"x"')), "it has ended, and is failed")


def test_a_pause_holds_compensations_and_their_rows_say_so() -> None:
    story = going_back().when(act("pause")).then(e.ActionTaken)
    assert effects(story) == []
    rows = {row.direction: row.status for row in step_rows(story.definition, "s", None, fold(story.events))}
    assert rows["compensation"] == "pending"


# ---------------------------------------------------------------------------------------------- undo


def test_a_completed_saga_is_undone_in_reverse() -> None:
    story = start(line("a", "b")).when(did("a")).then(e.StepSucceeded)
    refused(story, act("undo"), "it is pending, and only a completed saga can be undone")
    story = story.when(did("b")).then(e.StepSucceeded, e.SagaCompleted)
    story = story.when(act("undo")).then(e.ActionTaken, e.CompensationStarted)
    assert effects(story) == [RunCompensation("b", 0, 1)]
    story = story.when(undid("b")).then(e.StepCompensated).when(undid("a")).then(e.StepCompensated, e.SagaFailed)
    assert story.state is not None
    assert story.state.cause == e.ErrorInfo("Undone", "by ada: mended", "cancelled")
    refused(story, act("undo"), "it is failed, and only a completed saga can be undone")


def test_what_cannot_be_undone_stays_as_it_is() -> None:
    pivoted = start(saga_of([Plan("p", pivot=True)])).when(did("p")).then(e.StepSucceeded, e.SagaCompleted)
    refused(pivoted, act("undo"), "its pivot p has succeeded")
    saga = line("a")
    first = replace(given(saga).when(i.Start("k", Raw(b'{"skipped":[]}'), 1, "c")).then(e.SagaStarted).events[0])
    assert isinstance(first, e.SagaStarted)
    child = given(saga, replace(first, parent="p-1", parent_step="x"))
    child = child.when(did("a")).then(e.StepSucceeded, e.SagaCompleted)
    refused(child, act("undo"), "it is a step of saga p-1; undo that one")


# ---------------------------------------------------------------------------------------------- abandon


def left(story: Given) -> tuple[str, ...]:
    """Abandon the saga, and return what it names as left."""
    (event,) = story.when(act("abandon")).then(e.ActionTaken, e.SagaAbandoned).events[-1:]
    assert isinstance(event, e.SagaAbandoned)
    return event.left


def test_who_abandons_a_saga_is_told_of_each_effect_that_is_left() -> None:
    """Invariant 30."""
    assert left(start(line("a", "b"))) == ("a",)
    assert left(waiting()) == ("a",)
    assert left(stuck()) == ("b", "a")
    assert left(going_back()) == ("a",)
    assert left(stuck_going_back()) == ("a",)
    assert left(unknown_and_stuck()) == ("a",)
    pivoted = start(saga_of([Plan("a")], [Plan("p", pivot=True)], [Plan("w", kind="wait")]))
    pivoted = pivoted.when(did("a")).then(e.StepSucceeded).when(did("p")).then(e.StepSucceeded, e.StepWaiting)
    assert left(pivoted) == ("p", "a")
    partly = start(saga_of([Plan("a", elements=3)])).when(did("a[0]")).then(e.StepSucceeded)
    assert left(partly) == ("a[1]", "a[0]")


def test_an_abandoned_saga_is_at_its_end_and_keeps_what_still_comes() -> None:
    story = start(line("a", "b")).when(did("a")).then(e.StepSucceeded)
    story = story.when(act("abandon")).then(e.ActionTaken, e.SagaAbandoned)
    assert effects(story) == []
    story = story.when(did("b")).then(e.StepSucceeded)
    story.when(failed("b")).then_nothing()
    story.when(i.StartAgain("c")).then(e.StartRefused)
    refused(story, act("resume"), "it has ended, and is abandoned")


def test_a_compensation_that_succeeds_after_all_is_not_left_any_more() -> None:
    story = going_back().when(act("abandon")).then(e.ActionTaken, e.SagaAbandoned)
    story.when(undo_failed("a")).then_nothing()
    story = story.when(undid("a")).then(e.StepCompensated)
    assert fold(story.events).pending == ()


def test_a_child_ends_with_its_parent_and_not_alone() -> None:
    saga = saga_of([Plan("a")], [Plan("b", kind="child")])
    story = start(saga).when(did("a")).then(e.StepSucceeded).when(child_begun("b")).then(e.ChildStarted)
    story = story.when(act("abandon")).then(e.ActionTaken, e.SagaAbandoned)
    (note,) = notes_of("parent", fold(story.events), story.events[-2:])
    assert (note.recipient, note.envelope.name) == ("child-1", ACT)
    child = start(line("x"))
    begun = replace(child.events[0], parent="parent", parent_step="b")
    child = given(line("x"), begun)
    refused(child, act("abandon"), "it is a step of saga parent; abandon that one")
    child = child.when(i.Receive(note.envelope)).then(e.ActionTaken, e.SagaAbandoned)
    child.when(i.Receive(note.envelope)).then_nothing()
    assert undo_child().message.id not in fold(child.events).received


def test_a_note_asks_for_what_a_person_asks_for() -> None:
    asked = act("cancel")
    told = replace(
        undo_child(), message=replace(undo_child().message, id=asked.action_id, name=ACT, data=note_of(asked))
    )
    direct, by_note = waiting().when(asked), waiting().when(told)
    assert direct.decided() == by_note.decided()
    assert effects(by_note.then(e.ActionTaken, e.CompensationStarted)) == [RunCompensation("a", 0, 1)]


def test_a_parent_is_told_that_its_child_is_stuck_no_more_whatever_lets_it_go_back() -> None:
    for asked in (act("cancel"), act("resolve", "b", happened=False)):
        story = stuck()
        begun = replace(story.events[0], parent="parent", parent_step="x")
        child = given(saga_of([Plan("a")], [Plan("b")], [Plan("c")]), begun, *story.events[1:])
        decided = child.when(asked).decided()
        notes = notes_of("child", fold([*child.events, *decided]), decided)
        assert [note.envelope.name for note in notes] == ["sagalog.ChildResumed"]
