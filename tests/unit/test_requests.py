"""Steps that send a command and wait for its reply: what the kernel decides, as given / when / then."""

from shipping_orders import (
    CHARGED,
    REFUSED,
    RELEASED,
    RESERVED,
    SECOND,
    SOLD_OUT,
    begun,
    orders,
    reply,
    sent,
    times_out,
    undoing,
)

from sagalog.saga import events as e
from sagalog.saga.react import RunAction, RunCompensation, Wait, WatchDeadline
from sagalog.testing.kernel import START, Given

HOUR = 3600 * SECOND
MINUTE = 60 * SECOND


def reserving(**options: object) -> Given:
    return begun(orders(**options)).when(sent("reserve")).then(e.RequestSent)  # type: ignore[arg-type]


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
    late = reserving().when(times_out("reserve"), START + MINUTE).then(e.StepFailed, e.CompensationStarted)
    assert late.effects == [RunCompensation("reserve", 0, 1)]
    undone = late.when(undoing("reserve")).then(e.RequestSent)
    assert undone.effects == [Wait("reserve", "compensation", 1, START + 2 * MINUTE)]
    undone.when(reply("reserve", RELEASED, undo=True)).then(e.StepCompensated, e.SagaFailed)
