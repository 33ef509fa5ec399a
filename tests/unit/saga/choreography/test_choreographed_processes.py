"""What a choreographed process is judged to be by the events that came, in whatever order they come."""

from collections.abc import Iterator
from itertools import permutations, product

import pytest
from kernel.stories import act, resume
from msgspec.structs import replace
from sagas.fulfilling import (
    COMPLETED,
    NOT_REFUNDED,
    OUTCOMES,
    REJECTED,
    UNPAID,
    UNSHIPPED,
    InventoryReserved,
    PaymentProcessed,
    PaymentRefunded,
    Process,
    fulfilment,
    message,
    what_is_told,
)

from sagalog.errors import DivergentHistory
from sagalog.saga.events import EMPTY, ActionRefused, EventReceived, StepCompensated, Verb
from sagalog.saga.evolve import evolve, fold
from sagalog.saga.inputs import Receive
from sagalog.saga.redecide import first_divergence
from sagalog.saga.transitions import CHOREOGRAPHED

UNDONE = {
    ("InventoryReserved", "action"): "succeeded",
    ("InventoryReserved", "compensation"): "compensated",
    ("PaymentProcessed", "action"): "succeeded",
    ("PaymentProcessed", "compensation"): "compensated",
}


# ---------------------------------------------------------------------------------------------- in order


def test_a_process_that_goes_well_is_told_step_by_step() -> None:
    """Invariant 48."""
    process = Process()
    assert (process.status, process.row.waiting_for) == ("started", "event OrderCreated")
    process.came("OrderCreated")
    assert (process.status, process.row.waiting_for) == ("started", "event InventoryReserved, event InventoryRejected")
    process.came("InventoryReserved")
    assert (process.status, process.row.waiting_for) == ("pending", "event PaymentProcessed, event PaymentFailed")
    assert process.row.waiting_until == process.row.due_at == process.row.deadline_at
    process.came("PaymentProcessed", "ShipmentCreated")
    assert (process.status, process.row.waiting_for, process.row.due_at) == ("completed", None, None)
    assert process.steps == {
        ("InventoryReserved", "action"): "succeeded",
        ("PaymentProcessed", "action"): "succeeded",
        ("ShipmentCreated", "action"): "succeeded",
    }


def test_a_process_that_fails_tells_what_undoes_what() -> None:
    """Invariants 15, 25 and 48."""
    process = Process().came(*UNSHIPPED[:4])
    assert (process.status, process.row.error_type) == ("compensating", "ShipmentFailed")
    assert process.row.waiting_for == "event InventoryReleased, event PaymentRefunded"
    assert process.steps["PaymentProcessed", "compensation"] == "pending"
    process.came("PaymentRefunded")
    assert process.row.waiting_for == "event InventoryReleased"
    process.came("InventoryReleased")
    assert (process.status, process.row.error_type) == ("failed", "ShipmentFailed")
    assert process.row.error_text == "why ShipmentFailed"
    assert process.steps == UNDONE
    (undo,) = [row for row in process.computed_steps() if row.undoes == "PaymentProcessed"]
    assert undo.step == "PaymentProcessed"


def test_a_process_that_fails_before_any_effect_has_nothing_to_undo() -> None:
    """Invariant 16."""
    process = Process().came(*REJECTED)
    assert (process.status, process.steps, process.row.error_text) == ("failed", {}, "why InventoryRejected")


def test_what_only_a_person_can_go_on_from_is_stuck_until_somebody_does() -> None:
    """Invariants 15, 25 and 26: and again, if it fails again."""
    process = Process().came(*NOT_REFUNDED[:5])
    assert (process.status, process.row.error_type) == ("stuck", "RefundFailed")
    assert process.row.error_text == "RefundFailed came, from which only a person can go on"
    assert process.state is not None
    assert process.state.cause is not None
    assert process.state.cause.type == "ShipmentFailed"
    assert process.state.pending == ("InventoryReserved", "PaymentProcessed")
    assert process.state.actions == ("publish RefundRequested",)
    assert process.tell(Receive(message("RefundRequested"))) == ["EventReceived", "SagaResumed"]
    assert (process.status, process.row.error_type) == ("compensating", "ShipmentFailed")
    assert process.tell(Receive(message("RefundFailed", "again")))[-1] == "SagaStuck"
    process.tell(Receive(message("RefundRequested", "once more")))
    process.came("PaymentRefunded", "InventoryReleased")
    assert (process.status, process.steps) == ("failed", UNDONE)


# ---------------------------------------------------------------------------------------------- in any order


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_whatever_order_events_come_in_the_end_is_the_same(outcome: str) -> None:
    """Invariants 15, 25 and 48: a start that comes late, an end before an effect, a compensation before its effect."""
    names = OUTCOMES[outcome]
    expected = what_is_told(Process().came(*names))
    for order in permutations(names):
        process = Process().came(*order)
        assert what_is_told(process) == expected, order
        assert first_divergence(process.definition, process.events) is None, order


def test_a_person_who_helps_before_it_is_known_that_help_is_needed_is_counted() -> None:
    expected = what_is_told(Process().came(*NOT_REFUNDED))
    for middle in permutations(NOT_REFUNDED[3:]):
        assert what_is_told(Process().came(*NOT_REFUNDED[:3], *middle)) == expected


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_events_that_come_three_times_count_once(outcome: str) -> None:
    """Invariant 7."""
    names = OUTCOMES[outcome]
    process = Process()
    for name in names:
        assert process.tell(Receive(message(name))) != []
        assert process.tell(Receive(message(name))) == []
    for name in names:
        assert process.tell(Receive(message(name))) == []
    assert what_is_told(process) == what_is_told(Process().came(*names))


@pytest.mark.parametrize("missing", UNSHIPPED[:4])
def test_an_event_that_is_lost_on_the_way_leaves_no_effect_silent(missing: str) -> None:
    """Invariants 15 and 25: what is known to have been done is known to be undone, whatever was not heard."""
    process = Process().came(*[name for name in UNSHIPPED if name != missing])
    assert process.status == "failed"
    undone = {step for (step, _), status in process.steps.items() if status == "compensated"}
    assert undone == {"InventoryReserved", "PaymentProcessed"} - {missing}


@pytest.mark.parametrize("missing", ["PaymentRefunded", "InventoryReleased"])
def test_an_effect_that_nobody_undoes_is_never_failed(missing: str) -> None:
    """Invariants 15 and 24."""
    process = Process().came(*[name for name in UNSHIPPED if name != missing])
    assert process.status == "compensating"
    process.times_out()
    assert process.status == "stuck"
    process.came(missing)
    assert process.status == "failed"
    assert process.steps == UNDONE


def test_written_rows_are_those_computed_from_the_whole_history() -> None:
    """Invariants 39 and 45: in every order, decision by decision."""
    for order in permutations(UNPAID):
        process = Process().came(*order)
        assert set(process.written_steps()) == set(process.computed_steps())
        assert fold(process.events) == process.state


# ---------------------------------------------------------------------------------------------- two of a kind


def test_two_effects_of_one_kind_need_to_be_undone_twice() -> None:
    """Invariant 15: whether the second one came before the first was undone, or after that."""
    stands: list[dict[tuple[str, str], str]] = []
    process = Process()
    for order in ((1, 2, 0), (1, 0, 2), (0, 1, 2)):
        process = Process().came("OrderCreated", "PaymentFailed")
        told = [message("InventoryReleased"), message("InventoryReserved"), message("InventoryReserved", "other")]
        for number in order:
            process.tell(Receive(told[number]))
        assert process.status == "compensating"
        stands.append(process.steps)
    first, *others = stands
    assert others == [first, first]
    assert first["InventoryReserved:2", "action"] == "succeeded"
    assert first["InventoryReserved:2", "compensation"] == "pending"
    process.tell(Receive(message("InventoryReleased", "another")))
    assert process.status == "failed"


def test_an_effect_that_comes_after_the_end_is_seen() -> None:
    """Invariants 15 and 20."""
    process = Process().came(*REJECTED)
    assert process.row.ended_at is not None
    assert process.tell(Receive(message("InventoryReserved"))) == ["StepSucceeded", "CompensationStarted"]
    assert (process.status, process.row.waiting_for) == ("compensating", "event InventoryReleased")
    assert process.row.ended_at is None
    process.came("InventoryReleased")
    assert (process.status, process.row.error_type) == ("failed", "InventoryRejected")


def test_an_effect_that_comes_after_the_end_and_the_deadline_is_stuck_until_it_is_undone() -> None:
    process = Process().came(*REJECTED)
    process.times_out()
    assert process.status == "failed"
    process.came("InventoryReserved")
    assert process.status == "stuck"
    process.came("InventoryReleased")
    assert process.status == "failed"


def test_an_end_that_another_contradicts_is_stuck() -> None:
    """Invariant 15: whichever comes first, and although every effect was undone."""
    for order in permutations(("ShipmentCreated", "ShipmentFailed", "PaymentRefunded", "InventoryReleased")):
        process = Process().came(*COMPLETED[:3], *order)
        assert process.status == "stuck"
        assert (
            process.row.error_text == "ShipmentCreated says that it is completed, and ShipmentFailed that it cannot be"
        )
        assert process.state is not None
        assert process.state.actions == ()


# ---------------------------------------------------------------------------------------------- causes


def test_the_cause_is_told_as_soon_as_it_is_known() -> None:
    """Invariant 25: what undoes an effect is no cause, although it may be heard of before the cause."""
    process = Process().came("OrderCreated", "InventoryReserved", "PaymentProcessed", "PaymentRefunded")
    assert (process.status, process.row.error_type) == ("compensating", "PaymentRefunded")
    process.came("ShipmentFailed")
    assert (process.status, process.row.error_type) == ("compensating", "ShipmentFailed")


def test_what_undoes_is_no_cause_however_near_it_is_to_the_start() -> None:
    contract = fulfilment().definition.contract
    nearer = replace(contract, order={**contract.order, "InventoryReleased": 0})
    assert nearer.failures(UNSHIPPED) == ("ShipmentFailed", "InventoryReleased", "PaymentRefunded")


def test_a_process_whose_effects_are_all_undone_goes_on_to_its_end() -> None:
    """Invariant 48: in every order it is compensating until it is told that it failed."""
    choreography = fulfilment(compensates={InventoryReserved: None, PaymentProcessed: PaymentRefunded})
    for order in permutations(UNSHIPPED[:5]):
        assert Process(choreography).came(*order).status == "compensating"


# ---------------------------------------------------------------------------------------------- observed


def test_a_bus_that_is_only_observed_is_judged_by_its_contract_alone() -> None:
    """Invariants 15 and 48."""
    for order in permutations(UNSHIPPED):
        known = [name for name in order if name != "ShipmentFailed"]
        process = Process(fulfilment(observed=True, from_outside={}, stuck_with=())).came(*known)
        assert (process.status, process.steps) == ("failed", UNDONE)
    process = Process(fulfilment(observed=True)).came("OrderCreated", "InventoryReserved")
    assert process.row.waiting_for == "event ShipmentCreated, event InventoryRejected, event InventoryReleased"


# ---------------------------------------------------------------------------------------------- what makes no sense


def test_nobody_resumes_what_nobody_runs() -> None:
    process = Process().came(*NOT_REFUNDED[:5])
    process.tell(resume())
    refused = process.events[-1]
    assert isinstance(refused, ActionRefused)
    assert "publishes what it waits for: InventoryReleased, PaymentRefunded" in refused.why


def test_a_history_that_no_choreography_can_have_is_refused() -> None:
    """Invariant 40."""
    process = Process().came("OrderCreated", "InventoryReserved")
    for wrong in (
        process.events[1],
        process.events[2],
        StepCompensated(time=1, step="PaymentProcessed", began=1, message="m"),
    ):
        with pytest.raises(DivergentHistory):
            evolve(process.state, wrong)
    changed = [*process.events, EventReceived(time=9, message="m", name="ShipmentCreated", data=EMPTY)]
    divergence = first_divergence(process.definition, changed)
    assert divergence is not None
    assert divergence.version == 4


ASKED: tuple[Verb, ...] = ("cancel", "reschedule", "abandon")


def every_transition() -> Iterator[tuple[str | None, str, str]]:
    """Yield each (status, event, status) while events come in any order, with a deadline, an action, or neither."""
    contradiction = ("InventoryReserved", "ShipmentCreated", "ShipmentFailed", "InventoryReleased")
    for names in (COMPLETED, UNPAID, (*REJECTED, "InventoryReserved"), contradiction, NOT_REFUNDED[1:6]):
        for order, verb in product(permutations(names), (None, *ASKED)):
            for number in (*range(len(order) + 1), 99):
                process = Process()
                for position, name in enumerate(order):
                    if position == number:
                        process.times_out() if verb is None else process.tell(act(verb, until=process.now + 1))
                    process.came(name)
                if verb == "abandon":
                    process.tell(act("cancel"))
                state = None
                for event in process.events:
                    after = evolve(state, event)
                    yield None if state is None else state.status, type(event).__name__, after.status
                    state = after


def test_the_table_of_transitions_holds_and_has_nothing_too_many() -> None:
    found: dict[tuple[str | None, str], set[str]] = {}
    for before, event, after in every_transition():
        found.setdefault((before, event), set()).add(after)
    assert {key: set(targets) for key, targets in CHOREOGRAPHED.items()} == found
