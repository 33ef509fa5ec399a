"""What the kernel makes of a step with `for_each=`: its parts, what follows from their outcomes, what is undone."""

import pytest
from kernel.stories import (
    Choice,
    Denied,
    Do,
    Done,
    Plan,
    Undone,
    did,
    failed,
    resume,
    saga_of,
    start,
    undid,
    undo_failed,
)
from msgspec import Raw

from sagalog import Saga
from sagalog.errors import DivergentHistory, InvalidAction
from sagalog.readmodel.result import result_of
from sagalog.readmodel.rows import status_row
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.evolve import fold
from sagalog.saga.react import AwaitEnd, RunAction, RunCompensation, WatchDeadline
from sagalog.testing.kernel import START, Given, made, message


def steps_run(state: Given) -> list[str]:
    return [effect.step for effect in state.effects if not isinstance(effect, WatchDeadline)]


def three(at_once: bool | int = False) -> Saga[Choice]:
    """A step, three elements, another step."""
    return saga_of([Plan("a")], [Plan("b", elements=3, at_once=at_once)], [Plan("c")])


def reached(saga: Saga[Choice]) -> Given:
    """Go to where the elements of `b` are recorded."""
    return start(saga).when(did("a")).then(e.StepSucceeded, e.StepFannedOut)


def elements(*numbers: int) -> tuple[Raw, ...]:
    return tuple(Raw(str(number).encode()) for number in numbers)


def test_the_elements_are_recorded_when_the_step_is_reached() -> None:
    reached_b = start(three()).when(did("a"))
    recorded = reached_b.decided()[-1]
    assert recorded == e.StepFannedOut(time=START, step="b", elements=elements(0, 1, 2), at_once=1)


def test_one_after_the_other_is_made_and_then_the_next_step() -> None:
    story = reached(three())
    for number in range(3):
        assert steps_run(story) == [f"b[{number}]"]
        story = story.when(did(f"b[{number}]")).then(e.StepSucceeded)
    assert steps_run(story) == ["c"]
    ended = story.when(did("c")).then(e.StepSucceeded, e.SagaCompleted)
    assert result_of(ended.definition, fold(ended.events)).data == {
        "a": "a",
        "b": ["b[0]", "b[1]", "b[2]"],
        "c": "c",
    }


def test_all_at_once_are_made_side_by_side_and_the_next_step_waits_for_all() -> None:
    story = reached(three(at_once=True))
    assert steps_run(story) == ["b[0]", "b[1]", "b[2]"]
    story = story.when(did("b[2]")).then(e.StepSucceeded).when(did("b[0]")).then(e.StepSucceeded)
    assert steps_run(story) == ["b[1]"]
    story = story.when(did("b[1]")).then(e.StepSucceeded)
    assert steps_run(story) == ["c"]
    assert result_of(story.definition, fold(story.events)).data["b"] == ["b[0]", "b[1]", "b[2]"]


def test_no_more_are_under_way_than_may_be_at_once() -> None:
    saga = saga_of([Plan("b", elements=5, at_once=2)])
    story = start(saga)
    assert steps_run(story) == ["b[0]", "b[1]"]
    story = story.when(did("b[1]")).then(e.StepSucceeded)
    assert steps_run(story) == ["b[0]", "b[2]"]


def test_an_empty_list_is_done_at_once_and_there_is_nothing_to_undo() -> None:
    """Invariant 16."""
    saga = saga_of([Plan("b", elements=0)], [Plan("c")])
    story = start(saga)
    assert steps_run(story) == ["c"]
    assert result_of(story.definition, fold(story.events)).data == {"b": []}
    ended = story.when(failed("c", "refused")).then(e.StepFailed, e.SagaFailed)
    assert [event for event in ended.events if isinstance(event, e.CompensationStarted)] == []


def test_a_saga_that_is_only_an_empty_list_completes_when_it_starts() -> None:
    events = start(saga_of([Plan("b", elements=0)])).events
    assert [type(event) for event in events] == [e.SagaStarted, e.StepFannedOut, e.SagaCompleted]


def test_each_part_has_retries_of_its_own() -> None:
    story = reached(three(at_once=True)).when(failed("b[1]")).then(e.StepFailed)
    effects = [effect for effect in story.effects if isinstance(effect, RunAction)]
    assert [(effect.step, effect.attempt, effect.at > 0) for effect in effects] == [
        ("b[0]", 1, False),
        ("b[1]", 2, True),
        ("b[2]", 1, False),
    ]


def test_what_was_done_is_undone_element_by_element_though_a_sibling_failed() -> None:
    """Invariant 27: one compensation for each element that was done, the last one first, then what was before."""
    story = reached(three()).when(did("b[0]")).then(e.StepSucceeded).when(did("b[1]")).then(e.StepSucceeded)
    cause = e.ErrorInfo("Refused", "told so", "refused", "b[2]")
    story = story.when(failed("b[2]", "refused")).then(
        e.StepFailed, e.CompensationStarted(time=0, cause=cause, plan=("b[1]", "b[0]", "a"))
    )
    for name in ("b[1]", "b[0]"):
        assert steps_run(story) == [name]
        story = story.when(undid(name)).then(e.StepCompensated)
    assert steps_run(story) == ["a"]
    story.when(undid("a")).then(e.StepCompensated, e.SagaFailed)


def test_an_element_that_nobody_knows_to_be_done_is_undone_as_well_and_one_never_begun_is_not() -> None:
    """Invariants 9, 16 and 27."""
    story = reached(three()).when(did("b[0]")).then(e.StepSucceeded)
    story = story.when(failed("b[1]")).then(e.StepFailed)
    story = story.when(failed("b[1]", "timeout", 2)).then(e.StepFailed, e.CompensationStarted)
    state = story.state
    assert state is not None
    assert state.plan == ("b[1]", "b[0]", "a")


def test_side_by_side_is_undone_side_by_side_once_all_have_ended() -> None:
    """Invariants 18 and 27."""
    story = reached(three(at_once=True)).when(did("b[0]")).then(e.StepSucceeded)
    story = story.when(failed("b[1]", "refused")).then(e.StepFailed, e.CompensationStarted)
    assert [(type(effect), effect.step) for effect in story.effects if not isinstance(effect, WatchDeadline)] == [
        (AwaitEnd, "b[2]")
    ]
    story = story.when(did("b[2]")).then(e.StepSucceeded)
    assert [(type(effect), effect.step) for effect in story.effects if not isinstance(effect, WatchDeadline)] == [
        (RunCompensation, "b[2]"),
        (RunCompensation, "b[0]"),
    ]


def test_no_more_are_undone_at_a_time_than_were_done() -> None:
    saga = saga_of([Plan("b", elements=4, at_once=2)], [Plan("c")])
    story = start(saga)
    for number in range(4):
        story = story.when(did(f"b[{number}]")).then(e.StepSucceeded)
    story = story.when(failed("c", "refused")).then(e.StepFailed, e.CompensationStarted)
    assert steps_run(story) == ["b[3]", "b[2]"]
    story = story.when(undid("b[2]")).then(e.StepCompensated)
    assert steps_run(story) == ["b[3]", "b[1]"]


def test_a_part_whose_compensation_fails_for_good_stops_those_before_it_only_one_by_one() -> None:
    """Invariants 17 and 24."""
    for at_once, others in ((False, []), (True, ["b[0]"])):
        story = reached(three(at_once))
        for number in range(3):
            story = story.when(did(f"b[{number}]")).then(e.StepSucceeded)
        story = story.when(failed("c", "refused")).then(e.StepFailed, e.CompensationStarted)
        story = story.when(undid("b[2]")).then(e.StepCompensated)
        after = [e.CompensationFailed] if at_once else [e.CompensationFailed, e.SagaStuck]
        story = story.when(undo_failed("b[1]", "refused")).then(*after)
        assert steps_run(story) == others
        if at_once:
            story = story.when(undid("b[0]")).then(e.StepCompensated, e.SagaStuck)
        state = story.state
        assert state is not None
        assert state.pending == (("b[1]", "a") if at_once else ("b[1]", "b[0]", "a"))
        story = story.when(resume()).then(e.SagaResumed)
        assert steps_run(story) == ["b[1]"]


def test_a_late_success_of_a_part_that_was_given_up_is_undone_once_more() -> None:
    """Invariant 20."""
    story = reached(three()).when(failed("b[0]")).then(e.StepFailed)
    story = story.when(failed("b[0]", "timeout", 2)).then(e.StepFailed, e.CompensationStarted)
    story = story.when(undid("b[0]")).then(e.StepCompensated).when(undid("a")).then(e.StepCompensated, e.SagaFailed)
    story = story.when(did("b[0]", 2)).then(e.StepSucceeded, e.CompensationStarted)
    assert steps_run(story) == ["b[0]"]
    story = story.when(undid("b[0]", epoch=1)).then(e.StepCompensated, e.SagaFailed)
    story.when(undid("b[0]", epoch=1)).then_nothing()


def test_a_late_success_of_a_part_that_was_undone_is_undone_before_what_lies_before_it() -> None:
    """Invariants 17 and 20: while the saga is still rolled back."""
    story = reached(three()).when(failed("b[0]")).then(e.StepFailed)
    story = story.when(failed("b[0]", "timeout", 2)).then(e.StepFailed, e.CompensationStarted)
    story = story.when(undid("b[0]")).then(e.StepCompensated)
    story = story.when(did("b[0]", 2)).then(e.StepSucceeded)
    assert steps_run(story) == ["b[0]"]
    story = story.when(undid("b[0]", epoch=1)).then(e.StepCompensated)
    story.when(undid("a")).then(e.StepCompensated, e.SagaFailed)


def test_after_the_pivot_a_part_is_retried_and_then_a_person_is_needed() -> None:
    """Invariant 13."""
    saga = saga_of([Plan("p", pivot=True, undo="waived")], [Plan("b", elements=2, attempts=1)])
    story = start(saga).when(did("p")).then(e.StepSucceeded, e.StepFannedOut)
    story = story.when(did("b[0]")).then(e.StepSucceeded)
    story = story.when(failed("b[1]")).then(e.StepFailed, e.SagaStuck)
    story = story.when(resume()).then(e.SagaResumed)
    assert steps_run(story) == ["b[1]"]
    story.when(did("b[1]", 2)).then(e.StepSucceeded, e.SagaCompleted)


def test_a_mistake_in_one_part_stops_the_saga_and_what_succeeds_meanwhile_is_kept() -> None:
    """Invariant 12: and after the resume the parts that had to wait are begun."""
    saga = saga_of([Plan("b", elements=4, at_once=2)])
    story = start(saga).when(failed("b[0]", "fault")).then(e.StepFailed, e.SagaStuck)
    story = story.when(did("b[1]")).then(e.StepSucceeded)
    assert steps_run(story) == []
    story = story.when(resume()).then(e.SagaResumed)
    assert steps_run(story) == ["b[0]", "b[2]"]


def test_a_refusal_while_stuck_rolls_back_at_the_resume_and_begins_no_other_element() -> None:
    """Invariants 16 and 19."""
    saga = saga_of([Plan("b", elements=4, at_once=2)])
    story = start(saga).when(failed("b[0]", "fault")).then(e.StepFailed, e.SagaStuck)
    story = story.when(failed("b[1]", "refused")).then(e.StepFailed)
    story = story.when(resume()).then(e.SagaResumed, e.CompensationStarted)
    state = story.state
    assert state is not None
    assert state.plan == ("b[0]",)


def test_elements_stand_beside_other_steps_and_behind_a_condition() -> None:
    saga = saga_of([Plan("x"), Plan("b", elements=2, at_once=True, conditional=True)], [Plan("c")])
    story = start(saga)
    assert steps_run(story) == ["x", "b[0]", "b[1]"]
    assert steps_run(start(saga, "b")) == ["x"]


def test_an_outcome_of_a_part_that_cannot_have_been_begun_is_refused() -> None:
    """Invariant 40: the next element, one that there is not, the whole step, and a part of a step that has none."""
    story = reached(three())
    for name in ("b[1]", "b[3]", "b", "c[0]"):
        with pytest.raises((InvalidAction, DivergentHistory)):
            story.when(did(name)).decided()


def test_undoing_an_earlier_element_before_a_later_one_is_refused() -> None:
    """Invariant 17."""
    story = reached(three())
    for number in range(2):
        story = story.when(did(f"b[{number}]")).then(e.StepSucceeded)
    story = story.when(failed("b[2]", "refused")).then(e.StepFailed, e.CompensationStarted)
    story.when(undid("b[0]")).then_raises(InvalidAction)


def test_a_history_with_the_outcome_of_a_part_that_was_never_begun_is_divergent() -> None:
    """Invariant 40."""
    events = reached(three()).events
    with pytest.raises(DivergentHistory):
        fold([*events, e.StepSucceeded(time=START, step="b[2]", began=START, result=Raw(b'"x"'))])
    with pytest.raises(DivergentHistory):
        fold([*events, events[-1]])


def test_what_the_saga_waits_for_names_a_few_parts_and_counts_the_others() -> None:
    """Invariant 48."""
    saga = saga_of([Plan("b", elements=9, at_once=True)])
    state = start(saga).state
    assert state is not None
    row = status_row(saga.definition, "1", state)
    assert row.waiting_for == "step b[0], step b[1], step b[2], step b[3], step b[4], and 4 more"
    assert row.current_step == "b[0]"


# ---------------------------------------------------------------------------------------------- a command for each


def asked(step: str, attempt: int = 1, direction: e.Direction = "action") -> i.RequestMade:
    return made(step, Do(step=step), attempt=attempt, direction=direction)


def test_each_element_has_a_command_and_a_reply_of_its_own() -> None:
    """Invariants 6 and 27."""
    story = start(saga_of([Plan("b", kind="request", elements=3, at_once=2)]))
    story = story.when(asked("b[0]")).then(e.RequestSent).when(asked("b[1]")).then(e.RequestSent)
    assert steps_run(story) == ["b[0]", "b[1]"]
    state = story.state
    assert state is not None
    assert list(state.commands) == ["saga:b[0]", "saga:b[1]"]
    story = story.when(message(Done(step="b[1]"), id="1", causation_id="saga:b[1]")).then(e.StepSucceeded)
    assert steps_run(story) == ["b[0]", "b[2]"]


def test_a_refused_command_rolls_back_and_each_one_that_was_answered_is_undone_by_a_command() -> None:
    """Invariants 18, 20 and 27: the one whose reply is missing is waited for, then undone too."""
    story = start(saga_of([Plan("b", kind="request", elements=3, at_once=True, attempts=1)]))
    for number in range(3):
        story = story.when(asked(f"b[{number}]")).then(e.RequestSent)
    story = story.when(message(Done(step="b[0]"), id="1", causation_id="saga:b[0]")).then(e.StepSucceeded)
    refusal = message(Denied(reason="no"), id="2", causation_id="saga:b[1]")
    story = story.when(refusal).then(e.StepFailed, e.CompensationStarted)
    assert steps_run(story) == ["b[2]"]
    story = story.when(i.TimerFired("b[2]", "action", 1), START + 60_000_000).then(e.StepFailed)
    assert steps_run(story) == ["b[2]", "b[0]"]
    for number in (2, 0):
        story = story.when(asked(f"b[{number}]", direction="compensation")).then(e.RequestSent)
    undone = message(Undone(step="b[2]"), id="3", causation_id="saga:b[2]:undo")
    story = story.when(undone).then(e.StepCompensated)
    undone = message(Undone(step="b[0]"), id="4", causation_id="saga:b[0]:undo")
    story.when(undone).then(e.StepCompensated, e.SagaFailed)
