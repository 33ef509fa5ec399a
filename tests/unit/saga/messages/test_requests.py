"""Steps that send a command and wait for its reply: what the kernel decides, as given / when / then."""

from kernel.stories import resume
from sagas.shipping_orders import (
    CHARGED,
    HOUR,
    MINUTE,
    REFUSED,
    RELEASED,
    RESERVED,
    SECOND,
    SOLD_OUT,
    Charged,
    Reserve,
    after_the_pivot,
    begun,
    charging,
    last,
    named,
    orders,
    reply,
    reserving,
    sent,
    state_of,
    times_out,
    two_asked,
    undoing,
)

from sagalog import Retry
from sagalog.codec import CODEC
from sagalog.messages import CommandDone
from sagalog.readmodel.rows import command_rows, sent_messages, status_row, step_rows
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.react import RunAction, RunCompensation, Wait, WatchDeadline
from sagalog.testing.kernel import START, made, message


def test_a_request_sends_its_command_and_waits_for_the_reply() -> None:
    one = begun(orders())
    assert one.effects == [RunAction("reserve", 1), WatchDeadline(START + HOUR)]
    two = one.when(sent("reserve")).then(e.RequestSent)
    assert two.effects == [Wait("reserve", "action", 1, START + MINUTE), WatchDeadline(START + HOUR)]


def test_the_reply_is_the_result_and_ends_the_step() -> None:
    three = reserving().when(reply("reserve", RESERVED)).then(e.StepSucceeded)
    assert three.state is not None
    assert bytes(three.state.steps["reserve"].result or b"") == b'{"order_id":"order-1","reservation":"r-1"}'
    assert three.effects[0] == RunAction("charge", 1)
    charging = three.when(sent("charge")).then(e.RequestSent)
    charging.when(reply("charge", CHARGED)).then(e.StepSucceeded, e.SagaCompleted)


def test_a_refusal_ends_the_step_and_nothing_of_it_is_undone() -> None:
    """Invariants 9 and 16."""
    failed = reserving().when(reply("reserve", SOLD_OUT)).then(e.StepFailed, e.SagaFailed)
    assert failed.state is not None
    assert failed.state.cause == e.ErrorInfo("SoldOut", "none left", "refused", "reserve")


def test_command_refused_always_refuses() -> None:
    reserving().when(reply("reserve", REFUSED)).then(e.StepFailed, e.SagaFailed)


def test_no_reply_in_time_is_unknown_and_undone_by_a_command() -> None:
    """Invariant 9."""
    late = reserving().when(times_out("reserve"), START + MINUTE).then(e.StepFailed, e.CompensationStarted)
    assert late.effects == [RunCompensation("reserve", 0, 1)]
    undone = late.when(undoing("reserve")).then(e.RequestSent)
    assert undone.effects == [Wait("reserve", "compensation", 1, START + 2 * MINUTE)]
    undone.when(reply("reserve", RELEASED, undo=True)).then(e.StepCompensated, e.SagaFailed)


# ---------------------------------------------------------------------------------------------- identity


def test_a_command_has_the_same_id_and_data_each_time_it_is_sent() -> None:
    """Invariant 6."""
    retry = Retry(attempts=3, delay=10.0, jitter=0.0)
    silent = reserving(retry=retry).when(times_out("reserve"), START + MINUTE).then(e.StepFailed)
    assert silent.effects[0] == RunAction("reserve", 2, START + MINUTE + 10 * SECOND)
    silent.when(sent("reserve", attempt=1)).then_nothing()
    again = silent.when(sent("reserve", attempt=2)).then(e.RequestSent)
    first, second = (event for event in again.events if isinstance(event, e.RequestSent))
    assert (first.command_id, bytes(first.data)) == (second.command_id, bytes(second.data))
    assert (first.attempt, second.attempt) == (1, 2)
    command = state_of(again).commands["saga:reserve"]
    assert (command.status, command.sendings) == ("sent", 2)


def test_a_command_that_was_sent_is_not_sent_again_while_its_reply_is_waited_for() -> None:
    """Invariant 7."""
    one = reserving()
    one.when(sent("reserve")).then_nothing()
    one.when(sent("reserve", attempt=2)).then_nothing()


def test_a_refusal_that_a_person_forgave_is_asked_for_by_another_command() -> None:
    """Invariant 6: the answer to a command never changes, so the same id would be refused again."""
    stuck = after_the_pivot().when(reply("ship", REFUSED)).then(e.StepFailed, e.SagaStuck)
    resumed = stuck.when(resume()).then(e.SagaResumed)
    assert resumed.effects[0] == RunAction("ship", 2)
    resumed.when(made("ship", Reserve(order_id="o"), attempt=2, round=0)).then_nothing()
    again = resumed.when(made("ship", Reserve(order_id="o"), attempt=2, round=1)).then(e.RequestSent)
    assert last(again).command_id == "saga:ship:2"
    # Whatever the first one's participant says now, it is not what this one is waited for.
    contradicted = again.when(reply("ship", RESERVED)).then(e.EventReceived)
    assert contradicted.effects == again.effects
    again.when(reply("ship", RESERVED, round=1)).then(e.StepSucceeded, e.SagaCompleted)


def test_silence_that_a_person_forgave_is_asked_for_by_the_same_command() -> None:
    """Invariant 6."""
    stuck = after_the_pivot(Retry(attempts=1)).when(times_out("ship"), START + HOUR).then(e.StepFailed, e.SagaStuck)
    resumed = stuck.when(resume()).then(e.SagaResumed)
    again = resumed.when(made("ship", Reserve(order_id="o"), attempt=2)).then(e.RequestSent)
    assert last(again).command_id == "saga:ship"
    again.when(reply("ship", RESERVED)).then(e.StepSucceeded, e.SagaCompleted)


def test_after_the_pivot_a_command_is_sent_again_until_it_succeeds() -> None:
    """Invariant 13."""
    silent = after_the_pivot().when(times_out("ship"), START + HOUR).then(e.StepFailed)
    again = silent.when(made("ship", Reserve(order_id="o"), attempt=2)).then(e.RequestSent)
    assert last(again).command_id == "saga:ship"
    again.when(times_out("ship", 2), START + 2 * HOUR).then(e.StepFailed, e.SagaStuck)


# ---------------------------------------------------------------------------------------------- reply and timer


def test_a_timer_that_fires_after_the_reply_is_no_news() -> None:
    """Invariant 32."""
    answered = reserving().when(reply("reserve", RESERVED)).then(e.StepSucceeded)
    answered.when(times_out("reserve"), START + MINUTE).then_nothing()


def test_a_reply_that_comes_after_the_timer_is_late_and_undone() -> None:
    """Invariants 20 and 32."""
    late = reserving().when(times_out("reserve"), START + MINUTE).then(e.StepFailed, e.CompensationStarted)
    known = late.when(reply("reserve", RESERVED)).then(e.StepSucceeded)
    assert last(known).late
    # Its compensation had not been asked for yet: the one that is now knows what it undoes, and has its own identity.
    assert known.effects == [RunCompensation("reserve", 1, 1)]
    undone = known.when(undoing("reserve", round=1)).then(e.RequestSent)
    undone.when(reply("reserve", RELEASED, undo=True, round=1)).then(e.StepCompensated, e.SagaFailed)


def test_a_timer_that_fires_too_early_or_for_another_attempt_is_no_news() -> None:
    """Invariants 33 and 34."""
    one = reserving()
    one.when(times_out("reserve"), START + MINUTE - 1).then_nothing()
    one.when(times_out("reserve", 2), START + MINUTE).then_nothing()
    one.when(times_out("reserve", direction="compensation"), START + MINUTE).then_nothing()
    one.when(times_out("charge"), START + MINUTE).then_nothing()


def test_a_reply_between_two_attempts_is_in_time() -> None:
    """Invariant 32."""
    retry = Retry(attempts=2, delay=10.0, jitter=0.0)
    silent = reserving(retry=retry).when(times_out("reserve"), START + MINUTE).then(e.StepFailed)
    answered = silent.when(reply("reserve", RESERVED)).then(e.StepSucceeded)
    assert not last(answered).late
    assert answered.effects[0] == RunAction("charge", 1)
    assert state_of(answered).commands["saga:reserve"].status == "succeeded"


def test_the_reply_is_waited_for_until_the_deadline_at_most() -> None:
    """Invariant 30."""
    one = reserving(timeout=30.0)
    assert one.effects == [Wait("reserve", "action", 1, START + 30 * SECOND), WatchDeadline(START + 30 * SECOND)]


# ---------------------------------------------------------------------------------------------- messages


def test_a_message_is_taken_once() -> None:
    """Invariant 7."""
    answered = reserving().when(reply("reserve", RESERVED)).then(e.StepSucceeded)
    answered.when(reply("reserve", RESERVED)).then_nothing()
    answered.when(reply("reserve", RESERVED, id="another")).then(e.EventReceived)


def test_something_else_that_the_command_led_to_is_recorded_and_the_reply_still_waited_for() -> None:
    one = reserving().when(reply("reserve", CHARGED)).then(e.EventReceived)
    assert (last(one).answer, one.effects[0]) == (None, Wait("reserve", "action", 1, START + MINUTE))
    one.when(reply("reserve", CommandDone())).then(e.EventReceived)
    one.when(reply("reserve", RESERVED)).then(e.StepSucceeded)


def test_a_reply_that_says_no_cause_answers_the_only_command_that_it_can() -> None:
    reserving().when(message(RESERVED)).then(e.StepSucceeded)
    charging().when(message(RESERVED)).then(e.EventReceived)


def test_a_reply_that_says_no_cause_is_never_the_answer_to_one_of_several_commands() -> None:
    """Invariant 4: never an arbitrary match."""
    recorded = two_asked().when(message(RESERVED)).then(e.EventReceived)
    assert {step.action.status for step in state_of(recorded).steps.values()} == {"open"}


def test_an_answer_that_nobody_can_read_is_a_fault() -> None:
    """Invariant 12."""
    odd = reply("reserve", Charged(order_id="o"))
    odd = i.Receive(named(odd.message, "Reserved", b'{"sku":1}'))
    stuck = reserving().when(odd).then(e.StepFailed, e.SagaStuck)
    assert "cannot be read as Reserved" in (state_of(stuck).reason or "")
    resumed = stuck.when(resume()).then(e.SagaResumed)
    resumed.when(sent("reserve", attempt=2)).then(e.RequestSent)


# ---------------------------------------------------------------------------------------------- rows


def test_a_command_row_says_what_became_of_each_command() -> None:
    asked = charging()
    state = state_of(asked)
    rows = {row.command_id: row for row in command_rows(asked.definition, "saga", None, state)}
    assert {name: (row.status, row.sendings, row.direction) for name, row in rows.items()} == {
        "saga:reserve": ("succeeded", 1, "action"),
        "saga:charge": ("sent", 1, "action"),
    }
    assert rows["saga:charge"].causation_id == "Reserved"
    assert rows["saga:reserve"].causation_id == "saga"
    changed = command_rows(asked.definition, "saga", state_of(reserving()), state)
    assert len(changed) == 2
    assert command_rows(asked.definition, "saga", state, state) == []


def test_a_command_is_the_message_that_its_event_is() -> None:
    """Invariants 3 and 5."""
    asked = charging()
    found = sent_messages("saga", state_of(asked), asked.events)
    assert [(number, one.id, one.name, one.causation_id) for number, one in found] == [
        (1, "saga:reserve", "Reserve", "saga"),
        (3, "saga:charge", "Charge", "Reserved"),
    ]
    assert {(one.kind, one.source, one.correlation_id, one.saga_id) for _, one in found} == {
        ("command", "saga:orders", "key", "saga")
    }
    # The store reads the command's data from the event.
    assert b'"data":{"order_id":"order-1"}' in CODEC.encode(asked.events[1])[1]


def test_the_status_row_says_what_is_waited_for_and_until_when() -> None:
    """Invariant 48."""
    one = reserving()
    row = status_row(one.definition, "saga", state_of(one))
    assert (row.current_step, row.waiting_for) == ("reserve", "reply Reserved to reserve")
    assert (row.waiting_until, row.due_at) == (START + MINUTE, START + MINUTE)
    late = one.when(times_out("reserve"), START + MINUTE).then(e.StepFailed, e.CompensationStarted)
    undone = late.when(undoing("reserve")).then(e.RequestSent)
    row = status_row(one.definition, "saga", state_of(undone))
    assert row.waiting_for == "reply Released to compensation of reserve"
    (action, undo) = step_rows(one.definition, "saga", None, state_of(undone))
    assert (action.status, action.error_type) == ("failed", "ReplyTimeout")
    assert undo.status == "running"


def test_the_step_row_of_a_request_says_that_it_waits() -> None:
    one = reserving()
    (row,) = step_rows(one.definition, "saga", None, state_of(one))
    assert (row.status, row.attempts, row.started_at, row.ended_at) == ("waiting", 1, START, None)
    answered = one.when(reply("reserve", RESERVED)).then(e.StepSucceeded)
    (row,) = step_rows(one.definition, "saga", state_of(one), state_of(answered))
    assert (row.status, row.result) == ("succeeded", '{"order_id":"order-1","reservation":"r-1"}')
