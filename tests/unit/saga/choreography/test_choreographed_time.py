"""What time makes of a choreographed process: its deadline, and clocks that do not agree."""

from itertools import permutations

import pytest
from sagas.fulfilling import COMPLETED, OUTCOMES, Process, fulfilment, message, what_is_told

from sagalog.saga.inputs import DeadlineReached, Receive
from sagalog.saga.redecide import first_divergence


def test_a_process_of_which_nothing_came_of_fails_when_its_time_is_over() -> None:
    process = Process().came("OrderCreated")
    assert process.tell(DeadlineReached()) == []
    assert process.times_out() == ["SagaFailed"]
    assert (process.status, process.row.error_type) == ("failed", "DeadlineReached")
    assert process.times_out() == []


def test_a_process_that_stops_half_way_is_stuck_when_its_time_is_over() -> None:
    """Invariants 15, 30 and 48."""
    process = Process().came("OrderCreated", "InventoryReserved")
    assert process.times_out() == ["SagaStuck"]
    assert "InventoryReserved stands and no InventoryReleased came" in process.row.error_text
    assert process.row.waiting_for == "a person"
    assert process.row.current_step == "InventoryReserved"
    assert process.state is not None
    assert process.state.actions == ("publish PaymentProcessed", "publish PaymentFailed")


def test_what_it_could_only_fail_of_is_told_when_its_time_is_over() -> None:
    """Invariant 25: both causes."""
    process = Process().came("OrderCreated", "InventoryReserved", "PaymentFailed")
    process.times_out()
    assert process.status == "stuck"
    assert "it could only fail since PaymentFailed: why PaymentFailed" in process.row.error_text
    assert process.state is not None
    assert process.state.cause is not None
    assert process.state.cause.type == "PaymentFailed"


def test_a_failure_without_the_effect_that_must_have_come_before_it_is_stuck() -> None:
    """Invariant 15: an event was lost that may have told of an effect."""
    process = Process().came("OrderCreated", "PaymentFailed")
    process.times_out()
    assert process.status == "stuck"


@pytest.mark.parametrize("came", [1, 2, 3])
def test_a_process_that_goes_on_after_its_time_ends_as_it_does(came: int) -> None:
    process = Process().came(*COMPLETED[:came])
    process.times_out()
    assert process.status in ("failed", "stuck")
    process.came(*COMPLETED[came:])
    assert (process.status, process.row.error_type) == ("completed", None)
    assert first_divergence(process.definition, process.events) is None


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_deadline_at_any_moment_changes_nothing_about_the_end(outcome: str) -> None:
    """Invariants 15 and 32."""
    names = OUTCOMES[outcome]
    expected = what_is_told(Process().came(*names))
    for number in range(len(names) + 1):
        for order in permutations(names):
            process = Process().came(*order[:number])
            process.times_out()
            assert process.status in ("completed", "failed", "stuck")
            process.came(*order[number:])
            assert what_is_told(process) == expected, (order, number)
            assert first_divergence(process.definition, process.events) is None


def test_a_process_without_a_timeout_waits_for_ever() -> None:
    process = Process(fulfilment(timeout=None)).came("OrderCreated", "InventoryReserved")
    assert process.times_out() == []
    assert (process.status, process.row.waiting_until, process.row.due_at) == ("pending", None, None)


def test_a_clock_that_goes_back_does_not_bring_the_time_back() -> None:
    """Invariant 32: another worker's clock may be behind the one that saw the deadline."""
    process = Process().came("OrderCreated", "InventoryReserved")
    process.times_out()
    process.now = 10
    process.came("PaymentFailed")
    assert process.status == "stuck"


def test_an_effect_was_not_made_after_it_was_heard_of() -> None:
    process = Process()
    process.tell(Receive(message("InventoryReserved", time=process.now + 5)))
    process.tell(Receive(message("PaymentProcessed", time=process.now - 5)))
    first, second = process.computed_steps()
    assert first.started_at == first.ended_at
    assert second.started_at == second.ended_at - 5
