"""Steps that wait for an event or for time to pass, and starts by events: what the kernel decides."""

from typing import Any

from kernel.stories import failed, resume
from msgspec import Raw, Struct
from msgspec.structs import replace

from sagalog import Event, Saga
from sagalog.readmodel.rows import status_row, step_rows
from sagalog.saga import events as e
from sagalog.saga import inputs as i
from sagalog.saga.react import RunAction, Wait, WatchDeadline
from sagalog.saga.state import SagaState
from sagalog.testing.kernel import START, Given, given, message, started

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR


class Order(Struct, frozen=True):
    order_id: str


class Placed(Event):
    order_id: str


class Arrived(Event):
    parcel: str


class Paid(Event):
    order_id: str


def act(order: Order) -> str:
    return order.order_id


def undo(done: str | None) -> None: ...


def parcels(*, timeout: float | None = 3600.0, pivot: bool = False, deadline: float | None = 86_400.0) -> Saga[Order]:
    """Return a saga that sends a parcel, waits for its arrival, and looks into it."""
    saga = Saga("parcels", input=Order, timeout=deadline)
    saga.started_by(Placed, input=lambda placed: Order(placed.order_id), key=lambda placed: placed.order_id)
    step = saga.step(name="send", pivot=pivot)(act)
    if not pivot:
        step.compensate(undo)
    saga.wait_for(Arrived, key=lambda arrived: arrived.parcel, timeout=timeout)

    def look(arrived: Arrived) -> str:
        return arrived.parcel

    saga.step(name="look", compensation=None)(look)
    return saga


def begun(saga: Saga[Order]) -> Given:
    return given(saga, started(saga, Order("o-1")))


def done(step: str, attempt: int = 1) -> i.ActionSucceeded:
    return i.ActionSucceeded(step, attempt, START, Raw(b'"done"'))


def waiting(**options: Any) -> Given:
    """Return a saga that waits for its parcel."""
    return begun(parcels(**options)).when(done("send")).then(e.StepSucceeded, e.StepWaiting)


def arrived(id: str = "arrival", parcel: str = "p-1") -> i.Receive:
    return message(Arrived(parcel=parcel), id=id, causation_id="carrier")


def state_of(saga: Given) -> SagaState:
    assert saga.state is not None
    return saga.state


def times_out(step: str, attempt: int = 1) -> i.TimerFired:
    return i.TimerFired(step, "action", attempt)


# ---------------------------------------------------------------------------------------------- waiting for an event


def test_a_step_waits_for_an_event_which_is_its_result() -> None:
    one = waiting()
    assert one.effects == [Wait("arrived", "action", 1, START + HOUR), WatchDeadline(START + DAY)]
    two = one.when(arrived()).then(e.StepSucceeded)
    assert bytes(state_of(two).steps["arrived"].result or b"") == b'{"parcel":"p-1"}'
    assert two.effects[0] == RunAction("look", 1)
    assert state_of(two).last_message == "arrival"


def test_a_saga_that_begins_with_a_wait_waits_at_once() -> None:
    saga = Saga("first", input=Order)
    saga.wait_for(Arrived, key=lambda arrived: arrived.parcel)
    begins = given(saga).when(i.Start("o-1", Raw(b'{"order_id":"o-1"}'), 1, "c")).then(e.SagaStarted, e.StepWaiting)
    assert begins.effects[0] == Wait("arrived", "action", 1, None)
    begins.when(arrived()).then(e.StepSucceeded, e.SagaCompleted)


def test_an_event_that_comes_before_the_saga_waits_is_kept_and_taken_then() -> None:
    early = begun(parcels()).when(arrived()).then(e.EventReceived)
    assert [one.message for one in state_of(early).kept] == ["arrival"]
    two = early.when(done("send")).then(e.StepSucceeded, e.StepWaiting, e.StepSucceeded)
    assert (state_of(two).kept, state_of(two).last_message) == ((), "arrival")
    assert two.effects[0] == RunAction("look", 1)
    two.when(arrived()).then_nothing()


def test_kept_events_are_taken_in_the_order_in_which_they_came_each_once() -> None:
    saga = Saga("two", input=Order)
    saga.step(compensation=None, name="send")(act)
    for name in ("first", "second"):
        saga.wait_for(Arrived, key=lambda arrived: arrived.parcel, name=name)
    one = begun(saga).when(arrived("1", "p-1")).then(e.EventReceived).when(arrived("2", "p-2")).then(e.EventReceived)
    # A third one is nobody's: there are two waits.
    three = one.when(arrived("3", "p-3")).then(e.EventReceived)
    assert [kept.message for kept in state_of(three).kept] == ["1", "2"]
    taken = three.when(done("send")).then(
        e.StepSucceeded, e.StepWaiting, e.StepSucceeded, e.StepWaiting, e.StepSucceeded, e.SagaCompleted
    )
    results = [bytes(state_of(taken).steps[name].result or b"") for name in ("first", "second")]
    assert results == [b'{"parcel":"p-1"}', b'{"parcel":"p-2"}']


def test_two_steps_that_wait_side_by_side_take_one_event_each() -> None:
    saga = Saga("two", input=Order)
    with saga.parallel():
        for name in ("first", "second"):
            saga.wait_for(Arrived, key=lambda arrived: arrived.parcel, name=name)
    both = given(saga).when(i.Start("o-1", Raw(b'{"order_id":"o-1"}'), 1, "c"))
    one = both.then(e.SagaStarted, e.StepWaiting, e.StepWaiting).when(arrived("1")).then(e.StepSucceeded)
    one.when(arrived("2")).then(e.StepSucceeded, e.SagaCompleted)


def test_no_event_in_time_rolls_back_and_the_wait_itself_has_nothing_to_undo() -> None:
    late = waiting().when(times_out("arrived"), START + HOUR).then(e.StepFailed, e.CompensationStarted)
    assert state_of(late).plan == ("send",)
    assert state_of(late).cause == e.ErrorInfo("WaitTimeout", "no Arrived came within 3600 s", "timeout", "arrived")
    # Reply and timer, in the other order: invariant 32.
    late.when(arrived()).then(e.EventReceived)
    waiting().when(arrived()).then(e.StepSucceeded).when(times_out("arrived"), START + HOUR).then_nothing()


def test_a_wait_whose_end_was_moved_to_before_it_began_has_lasted_no_time() -> None:
    ada = i.Act(action_id="a-1", verb="reschedule", actor="ada", reason="it never comes", until=0)
    late = waiting().when(ada).then(e.ActionTaken).when(times_out("arrived")).then(e.StepFailed, e.CompensationStarted)
    assert state_of(late).cause == e.ErrorInfo("WaitTimeout", "no Arrived came within 0 s", "timeout", "arrived")


def test_a_wait_without_a_timeout_ends_with_the_deadline() -> None:
    one = waiting(timeout=None)
    assert one.effects == [Wait("arrived", "action", 1, None), WatchDeadline(START + DAY)]
    one.when(times_out("arrived"), START + 2 * DAY).then_nothing()
    back = one.when(i.DeadlineReached(), START + DAY).then(e.CompensationStarted)
    assert state_of(back).steps["arrived"].action.status == "dropped"
    assert (state_of(back).plan, state_of(back).steps["arrived"].undo.status) == (("send",), "waived")


def test_what_waits_is_not_waited_for_when_the_saga_is_rolled_back() -> None:
    """Invariant 18 is about effects, and waiting has none."""
    saga = Saga("side", input=Order)
    with saga.parallel():
        saga.wait_for(Arrived, key=lambda arrived: arrived.parcel)
        saga.step(compensation=None, name="send")(act)
    one = given(saga).when(i.Start("o-1", Raw(b'{"order_id":"o-1"}'), 1, "c")).then(e.SagaStarted, e.StepWaiting)
    ended = one.when(failed("send", "refused")).then(e.StepFailed, e.CompensationStarted, e.SagaFailed)
    assert ended.effects == []
    rows = {row.step: row.status for row in step_rows(ended.definition, "s", None, state_of(ended)) if not row.undoes}
    assert rows["arrived"] == "dropped"


def test_after_the_pivot_no_event_in_time_makes_the_saga_stuck_until_one_comes() -> None:
    """Invariants 13 and 36."""
    stuck = waiting(pivot=True).when(times_out("arrived"), START + HOUR).then(e.StepFailed, e.SagaStuck)
    resumed = stuck.when(resume(), START + 2 * HOUR).then(e.SagaResumed, e.StepWaiting)
    assert resumed.effects[0] == Wait("arrived", "action", 2, START + 3 * HOUR)
    resumed.when(arrived()).then(e.StepSucceeded)
    # What comes while the saga is stuck is recorded, and acted on when it is resumed.
    kept = stuck.when(arrived()).then(e.EventReceived)
    kept.when(resume()).then(e.SagaResumed, e.StepWaiting, e.StepSucceeded)


def test_a_stuck_saga_records_the_event_it_waits_for() -> None:
    """Invariant 36."""
    saga = Saga("side", input=Order)
    with saga.parallel():
        saga.wait_for(Arrived, key=lambda arrived: arrived.parcel, timeout=60)
        saga.step(compensation=None, name="send")(act)
    both = given(saga).when(i.Start("o-1", Raw(b'{"order_id":"o-1"}'), 1, "c")).then(e.SagaStarted, e.StepWaiting)
    stuck = both.when(failed("send", "fault")).then(e.StepFailed, e.SagaStuck)
    stuck.when(times_out("arrived"), START + HOUR).then_nothing()
    known = stuck.when(arrived()).then(e.StepSucceeded)
    known.when(resume()).then(e.SagaResumed).when(done("send", 2)).then(e.StepSucceeded, e.SagaCompleted)


def test_an_event_that_nobody_can_read_is_a_fault_and_the_saga_waits_for_the_next_one() -> None:
    """Invariant 12."""
    odd = i.Receive(replace(arrived().message, data=Raw(b"{}")))
    stuck = waiting().when(odd).then(e.StepFailed, e.SagaStuck)
    resumed = stuck.when(resume()).then(e.SagaResumed, e.StepWaiting)
    resumed.when(arrived("another")).then(e.StepSucceeded)


def test_an_event_after_the_end_is_recorded_and_changes_nothing() -> None:
    """Invariant 7: and recorded once."""
    ended = waiting().when(arrived()).then(e.StepSucceeded).when(done("look")).then(e.StepSucceeded, e.SagaCompleted)
    again = ended.when(arrived("2")).then(e.EventReceived)
    assert (state_of(again).status, state_of(again).kept, again.effects) == ("completed", (), [])
    again.when(arrived("2")).then_nothing()
    ended.when(message(Paid(order_id="o-1"))).then(e.EventReceived)


def test_a_skipped_wait_keeps_nothing() -> None:
    saga = Saga("skips", input=Order)
    saga.wait_for(Arrived, key=lambda arrived: arrived.parcel, when=lambda order: order.order_id != "o-1")
    saga.step(compensation=None, name="send")(act)
    one = given(saga).when(i.Start("o-1", Raw(b'{"order_id":"o-1"}'), 1, "c")).then(e.SagaStarted, e.StepSkipped)
    assert state_of(one.when(arrived()).then(e.EventReceived)).kept == ()


def test_the_row_of_a_saga_that_waits_says_for_what() -> None:
    """Invariant 48."""
    one = waiting()
    row = status_row(one.definition, "s", state_of(one))
    assert (row.current_step, row.waiting_for, row.waiting_until) == ("arrived", "event Arrived", START + HOUR)
    assert row.due_at == START + HOUR
    rows = {row.step: row.status for row in step_rows(one.definition, "s", None, state_of(one))}
    assert rows == {"send": "succeeded", "arrived": "waiting"}
    forever = waiting(timeout=None, deadline=None)
    row = status_row(forever.definition, "s", state_of(forever))
    assert (row.waiting_for, row.waiting_until, row.due_at) == ("event Arrived", None, None)


# ---------------------------------------------------------------------------------------------- time


def sleeping() -> Given:
    saga = Saga("sleeper", input=Order)
    saga.step(name="send")(act).compensate(undo)
    saga.sleep(600, name="cool_down")
    saga.step(name="look", compensation=None)(act)
    return begun(saga).when(done("send"), START + SECOND).then(e.StepSucceeded, e.StepWaiting)


def test_a_step_lets_time_pass() -> None:
    """Invariants 33 and 34: by what is recorded, so that a restart neither prolongs nor forgets it."""
    one = sleeping()
    until = START + 601 * SECOND
    assert one.effects[0] == Wait("cool_down", "action", 1, until)
    one.when(times_out("cool_down"), until - 1).then_nothing()
    one.when(times_out("cool_down", 2), until).then_nothing()
    two = one.when(times_out("cool_down"), until).then(e.StepSucceeded)
    assert two.effects[0] == RunAction("look", 1)
    two.when(times_out("cool_down"), until).then_nothing()
    row = status_row(one.definition, "s", state_of(one))
    assert (row.waiting_for, row.waiting_until) == ("sleep cool_down", until)


def test_a_pause_ends_with_the_deadline() -> None:
    back = sleeping().when(i.DeadlineReached(), START + 2 * DAY).then(e.CompensationStarted)
    assert (state_of(back).plan, state_of(back).steps["cool_down"].action.status) == (("send",), "dropped")


# ---------------------------------------------------------------------------------------------- starts


def placed(id: str) -> i.Receive:
    return message(Placed(order_id="o-1"), id=id, correlation_id="c-2")


def test_a_start_that_comes_again_is_recorded_as_refused_in_every_status() -> None:
    """Invariant 2."""
    open_one = begun(parcels())
    back = waiting().when(times_out("arrived"), START + HOUR).then(e.StepFailed, e.CompensationStarted)
    failed_one = back.when(i.UndoSucceeded("send", 0, 1, START)).then(e.StepCompensated, e.SagaFailed)
    stuck = open_one.when(failed("send", "fault")).then(e.StepFailed, e.SagaStuck)
    for saga in (open_one, waiting(), back, failed_one, stuck):
        again = saga.when(placed("p-2")).then(e.StartRefused)
        refused = again.events[-1]
        assert isinstance(refused, e.StartRefused)
        assert (refused.message, refused.correlation_id) == ("p-2", "c-2")
        assert state_of(again).status == state_of(saga).status
        again.when(placed("p-2")).then_nothing()


def test_the_event_that_started_a_saga_is_no_news_to_it() -> None:
    """Invariant 7."""
    told = i.Start("o-1", Raw(b'{"order_id":"o-1"}'), 1, "c", "p-1", "p-1")
    saga = given(parcels()).when(told).then(e.SagaStarted)
    saga.when(placed("p-1")).then_nothing()
    assert state_of(saga).causation_id == "p-1"
