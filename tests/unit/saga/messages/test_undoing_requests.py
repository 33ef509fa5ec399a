"""How requests are undone, and what a reply means that comes too late: the kernel, as given / when / then."""

from typing import Any

import pytest
from kernel.stories import failed, resume, undo_failed
from sagas.shipping_orders import (
    CHARGED,
    HOUR,
    MINUTE,
    REFUSED,
    RELEASED,
    RESERVED,
    SECOND,
    SOLD_OUT,
    Order,
    Released,
    Reserve,
    Reserved,
    StillOut,
    begun,
    charging,
    given_up,
    last,
    make_release,
    make_reserve,
    note,
    orders,
    reply,
    reserving,
    state_of,
    times_out,
    two_asked,
    undoing,
)

from sagalog import Retry, Saga
from sagalog.messages import CommandDone
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.react import AwaitEnd, RunAction, RunCompensation, Wait
from sagalog.testing.kernel import START, given, made, message, started

# ---------------------------------------------------------------------------------------------- late replies


def test_a_success_after_the_saga_has_ended_is_undone_exactly_once() -> None:
    """Invariant 20."""
    late = given_up().when(reply("reserve", RESERVED)).then(e.StepSucceeded, e.CompensationStarted)
    assert state_of(late).status == "compensating"
    assert late.effects == [RunCompensation("reserve", 1, 2)]
    undone = late.when(undoing("reserve", attempt=2, round=1)).then(e.RequestSent)
    assert last(undone).command_id == "saga:reserve:undo:2"
    # The answer to the empty compensation is not the answer to this one.
    undone.when(reply("reserve", RELEASED, undo=True, id="again")).then(e.EventReceived)
    ended = undone.when(reply("reserve", RELEASED, undo=True, round=1, id="2")).then(e.StepCompensated, e.SagaFailed)
    assert state_of(ended).cause == e.ErrorInfo(
        "ReplyTimeout", "step reserve: no reply within 60 s", "timeout", "reserve"
    )
    # Told again, by the same message or by another one, it changes nothing.
    ended.when(reply("reserve", RESERVED)).then_nothing()
    again = ended.when(reply("reserve", RESERVED, id="once more")).then(e.EventReceived)
    assert (state_of(again).status, again.effects) == ("failed", [])


def test_a_refusal_after_the_saga_has_ended_is_recorded_and_changes_nothing() -> None:
    late = given_up().when(reply("reserve", SOLD_OUT)).then(e.EventReceived)
    assert (last(late).answer, last(late).kept) == ("refused", False)
    assert (state_of(late).status, late.effects) == ("failed", [])
    assert state_of(late).commands["saga:reserve"].status == "refused"


def test_a_success_while_the_empty_compensation_is_under_way_asks_for_a_real_one() -> None:
    """Invariant 20."""
    late = reserving().when(times_out("reserve"), START + MINUTE).then(e.StepFailed, e.CompensationStarted)
    undone = late.when(undoing("reserve")).then(e.RequestSent)
    known = undone.when(reply("reserve", RESERVED)).then(e.StepSucceeded)
    assert known.effects == [RunCompensation("reserve", 1, 1)]
    again = known.when(undoing("reserve", round=1)).then(e.RequestSent)
    empty = again.when(reply("reserve", RELEASED, undo=True)).then(e.EventReceived)
    empty.when(reply("reserve", RELEASED, undo=True, round=1, id="2")).then(e.StepCompensated, e.SagaFailed)


# ---------------------------------------------------------------------------------------------- rolling back


def test_a_refusal_undoes_what_was_done_by_commands() -> None:
    undoing_it = charging().when(reply("charge", REFUSED)).then(e.StepFailed, e.CompensationStarted)
    assert undoing_it.effects == [RunCompensation("reserve", 0, 1)]


def test_rolling_back_waits_for_the_reply_that_is_on_its_way() -> None:
    """Invariant 18."""
    both = two_asked().when(reply("a", REFUSED)).then(e.StepFailed, e.CompensationStarted)
    assert both.effects == [Wait("b", "action", 1, START + MINUTE)]
    both.when(reply("b", REFUSED, id="2")).then(e.StepFailed, e.SagaFailed)
    both.when(reply("b", RESERVED, id="2")).then(e.StepSucceeded, e.SagaFailed)


def test_rolling_back_waits_no_longer_than_the_reply_has_time() -> None:
    """Invariant 18: then nobody knows what the command did, and its compensation goes out."""
    saga = Saga("two", input=Order)
    with saga.parallel():
        saga.request(Reserved, compensation=None, name="a")(make_reserve)
        step: Any = saga.request(Reserved, name="b", retry=Retry(attempts=5))(make_reserve)
    step.compensate(make_release)
    one = given(saga, started(saga, Order("o"))).when(made("a", Reserve(order_id="o"))).then(e.RequestSent)
    two = one.when(made("b", Reserve(order_id="o"))).then(e.RequestSent)
    both = two.when(reply("a", REFUSED)).then(e.StepFailed, e.CompensationStarted)
    unknown = both.when(times_out("b"), START + MINUTE).then(e.StepFailed)
    assert (last(unknown).outcome, last(unknown).retry_at) == ("unknown", None)
    assert unknown.effects == [RunCompensation("b", 0, 1)]


def test_a_command_that_was_made_when_the_saga_is_rolled_back_is_not_sent() -> None:
    """Invariants 16 and 19."""
    saga = Saga("two", input=Order)
    with saga.parallel():
        for name in ("a", "b"):
            step: Any = saga.request(Reserved, name=name)(make_reserve)
            step.compensate(make_release)
    one = given(saga, started(saga, Order("o"))).when(made("a", Reserve(order_id="o"))).then(e.RequestSent)
    back = one.when(reply("a", REFUSED)).then(e.StepFailed, e.CompensationStarted)
    assert back.effects == [AwaitEnd("b", 1)]
    ended = back.when(made("b", Reserve(order_id="o"))).then(e.StepFailed, e.SagaFailed)
    assert state_of(ended).steps["b"].action.status == "refused"


@pytest.mark.parametrize("kind", ["error", "timeout", "lost"])
def test_a_request_that_never_sent_anything_leaves_nothing_to_undo(kind: e.ErrorKind) -> None:
    """Invariant 16."""
    ended = begun(orders()).when(failed("reserve", kind)).then(e.StepFailed, e.SagaFailed)
    assert state_of(ended).steps["reserve"].action.status == "refused"


def test_what_is_unknown_and_cannot_be_undone_without_its_reply_makes_the_saga_stuck() -> None:
    one = reserving(takes_none=False)
    stuck = one.when(times_out("reserve"), START + MINUTE).then(e.StepFailed, e.CompensationStarted, e.SagaStuck)
    # The reply that comes after all is what was missing.
    known = stuck.when(reply("reserve", RESERVED)).then(e.StepSucceeded)
    resumed = known.when(resume()).then(e.SagaResumed)
    assert resumed.effects == [RunCompensation("reserve", 1, 1)]


def test_any_answer_but_a_refusal_ends_a_compensation_that_names_none() -> None:
    back = charging(retry=Retry(attempts=1)).when(times_out("charge"), START + HOUR)
    undone = back.then(e.StepFailed, e.CompensationStarted).when(undoing("charge")).then(e.RequestSent)
    undone.when(reply("charge", Released(order_id="o"), undo=True)).then(e.StepCompensated)
    undone.when(reply("charge", CommandDone(), undo=True)).then(e.StepCompensated)
    undone.when(reply("charge", REFUSED, undo=True)).then(e.CompensationFailed, e.SagaStuck)
    undone.when(message(CommandDone())).then(e.EventReceived)


def test_a_compensation_that_is_not_answered_is_sent_again_under_its_id() -> None:
    """Invariants 6 and 26."""
    late = reserving().when(times_out("reserve"), START + MINUTE).then(e.StepFailed, e.CompensationStarted)
    undone = late.when(undoing("reserve")).then(e.RequestSent)
    silent = undone.when(times_out("reserve", direction="compensation"), START + 2 * MINUTE).then(e.CompensationFailed)
    assert silent.effects == [RunCompensation("reserve", 0, 2, START + 2 * MINUTE + 10 * SECOND)]
    again = silent.when(undoing("reserve", attempt=2)).then(e.RequestSent)
    assert last(again).command_id == "saga:reserve:undo"
    over = again.when(times_out("reserve", 2, "compensation"), START + HOUR).then(e.CompensationFailed, e.SagaStuck)
    resumed = over.when(resume()).then(e.SagaResumed).when(undoing("reserve", attempt=3)).then(e.RequestSent)
    assert last(resumed).command_id == "saga:reserve:undo"
    # Answered after all, while a person looks: there is nothing left to do but to go on.
    known = over.when(reply("reserve", RELEASED, undo=True)).then(e.StepCompensated)
    known.when(resume()).then(e.SagaResumed, e.SagaFailed)


def test_a_refused_compensation_that_a_person_forgave_is_asked_for_by_another_command() -> None:
    """Invariant 6."""
    late = reserving().when(times_out("reserve"), START + MINUTE).then(e.StepFailed, e.CompensationStarted)
    undone = late.when(undoing("reserve")).then(e.RequestSent)
    refused = reply("reserve", StillOut(reason="shipped"), undo=True)
    stuck = undone.when(refused).then(e.CompensationFailed, e.SagaStuck)
    assert "StillOut: shipped" in (state_of(stuck).reason or "")
    resumed = stuck.when(resume()).then(e.SagaResumed)
    assert resumed.effects == [RunCompensation("reserve", 0, 2)]
    again = resumed.when(undoing("reserve", attempt=2, round=1)).then(e.RequestSent)
    assert last(again).command_id == "saga:reserve:undo:2"


def test_a_compensation_may_turn_out_to_need_no_command() -> None:
    late = reserving().when(times_out("reserve"), START + MINUTE).then(e.StepFailed, e.CompensationStarted)
    late.when(i.UndoSucceeded("reserve", 0, 1, START)).then(e.StepCompensated, e.SagaFailed)
    asked = late.when(undoing("reserve")).then(e.RequestSent)
    asked.when(i.UndoSucceeded("reserve", 0, 1, START)).then_nothing()
    asked.when(undo_failed("reserve")).then_nothing()


# ---------------------------------------------------------------------------------------------- stuck


def test_a_stuck_saga_records_the_reply_and_acts_on_it_when_it_is_resumed() -> None:
    """Invariant 36."""
    saga = Saga("two", input=Order)
    with saga.parallel():
        saga.request(Reserved, compensation=None, name="a")(make_reserve)
        saga.step(compensation=None, name="b")(note)
    saga.request(Reserved, compensation=None, name="c")(make_reserve)
    one = given(saga, started(saga, Order("o"))).when(made("a", Reserve(order_id="o"))).then(e.RequestSent)
    stuck = one.when(failed("b", "fault")).then(e.StepFailed, e.SagaStuck)
    stuck.when(times_out("a"), START + MINUTE).then_nothing()
    known = stuck.when(reply("a", RESERVED)).then(e.StepSucceeded)
    assert known.effects == []
    resumed = known.when(resume()).then(e.SagaResumed)
    assert resumed.effects[0] == RunAction("b", 2)


def test_a_pivot_of_which_nobody_knows_whether_it_was_done_makes_the_saga_stuck() -> None:
    """Invariant 13."""
    silent = charging(pivot=True).when(times_out("charge"), START + HOUR).then(e.StepFailed, e.SagaStuck)
    known = silent.when(reply("charge", CHARGED)).then(e.StepSucceeded)
    known.when(resume()).then(e.SagaResumed, e.SagaCompleted)


def test_a_pivot_that_is_refused_rolls_back() -> None:
    charging(pivot=True).when(reply("charge", REFUSED)).then(e.StepFailed, e.CompensationStarted)
