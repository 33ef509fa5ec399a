"""Each check of sagas of every kind finds what it is there for: what workers left is falsified, one fact at a time."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import msgspec
import pytest
from msgspec.structs import replace
from torture.journals import Journals
from torture.ledger import Effect, Ledger
from torture.plans import VOYAGES, start_of
from torture.run import VOYAGE_SETTINGS
from torture.snapshot import LEFT, SQL, Snapshot
from torture.stage import Stage, a_database, wait_until

from sagalog.codec import CODEC
from sagalog.saga.events import RequestSent, SagaEvent, SagaStarted, StepFannedOut, StepSucceeded
from sagalog.store import StatusRow

pytestmark = pytest.mark.crash

Falsify = Callable[[Snapshot, Journals, list[Effect]], None]
# The first so many numbers start sagas of nearly every kind.
STARTED = 70


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """What two workers have left, one of them killed."""
    folder = tmp_path_factory.mktemp("voyages")
    ledger = str(folder / "ledger.db")
    with closing(Ledger(ledger)) as books:
        books.create()
    with a_database(folder, None) as database, Stage(database, folder, VOYAGE_SETTINGS, ledger=ledger) as stage:
        stage.start_orders(STARTED)
        first = stage.worker("first", slow=0.02)
        wait_until(lambda: stage.number("events") > 8 * STARTED, 20.0)
        stage.processes.kill(first)
        second = stage.worker("second")
        stage.at_rest(60.0)
        stage.processes.kill(second)
        yield stage


def test_what_workers_leave_of_voyages_passes_every_check(stage: Stage) -> None:
    assert stage.violations(stage.snapshot(), stage.journals()) == []


def test_the_plans_hold_sagas_of_every_kind(stage: Stage) -> None:
    kinds = {row.saga_key.split("-", 2)[2] for row in stage.snapshot().statuses.values() if "voyage-" in row.saga_key}
    assert len(kinds & VOYAGES.keys()) > 0.7 * len(VOYAGES)
    assert {row.saga_name for row in stage.snapshot().statuses.values()} >= {
        "order-fulfilment",
        "torture-voyage",
        "torture-hasty-voyage",
        "torture-catering",
        "torture-shopping",
        "torture-cleaning",
        "torture-trip",
    }
    assert {start_of(number, orders_only=False).way for number in range(STARTED)} == {"called", "told"}


def a_saga(found: Snapshot, saga: str, status: str) -> StatusRow:
    """Return a saga of that name that ended so, the first one that was started."""
    return next(row for row in found.statuses.values() if (row.saga_name, row.status) == (saga, status))


def numbered(ledger: list[Effect], action: str, direction: str) -> int:
    """Return where an effect stands in the ledger."""
    return next(n for n, one in enumerate(ledger) if (one.action, one.direction) == (action, direction))


def swap(ledger: list[Effect], one: int, other: int) -> None:
    """Let two effects have been made in the other order."""
    first, second = ledger[one], ledger[other]
    ledger[one], ledger[other] = second._replace(number=first.number), first._replace(number=second.number)


def rolled_back(found: Snapshot, ledger: list[Effect]) -> StatusRow:
    """Return a voyage that was undone from its last step before the pivot on."""
    undone = {one.action for one in ledger if one.direction == "compensation"}
    return next(
        row
        for row in found.statuses.values()
        if row.saga_name == "torture-voyage" and row.status == "failed" and f"{row.saga_id}:inspect" in undone
    )


def done_twice(_: Snapshot, __: Journals, ledger: list[Effect]) -> None:
    ledger.append(ledger[0])


def undone_twice(_: Snapshot, __: Journals, ledger: list[Effect]) -> None:
    ledger.append(next(one for one in ledger if one.direction == "compensation"))


def undone_before_it_was_done(_: Snapshot, __: Journals, ledger: list[Effect]) -> None:
    undo = next(one for one in ledger if one.direction == "compensation")
    ledger.remove(undo)
    ledger.insert(0, undo)


def effect_of_nobody(_: Snapshot, __: Journals, ledger: list[Effect]) -> None:
    ledger.append(Effect(10**9, "nobody:hold", "action", "nobody:hold"))


def effect_lost(found: Snapshot, _: Journals, ledger: list[Effect]) -> None:
    saga_id = a_saga(found, "torture-voyage", "completed").saga_id
    del ledger[numbered(ledger, f"{saga_id}:bill", "action")]


def effect_of_a_child_lost(found: Snapshot, _: Journals, ledger: list[Effect]) -> None:
    saga_id = a_saga(found, "torture-catering", "completed").saga_id
    del ledger[numbered(ledger, f"{saga_id}:bake", "action")]


def effect_of_an_element_lost(_: Snapshot, __: Journals, ledger: list[Effect]) -> None:
    undone = {one.action for one in ledger if one.direction == "compensation"}
    ledger.remove(next(one for one in ledger if "load[" in one.action and one.action not in undone))


def effect_never_undone(found: Snapshot, _: Journals, ledger: list[Effect]) -> None:
    saga_id = rolled_back(found, ledger).saga_id
    del ledger[numbered(ledger, f"{saga_id}:hold", "compensation")]


def effect_that_nobody_planned(found: Snapshot, _: Journals, ledger: list[Effect]) -> None:
    row = next(row for row in found.statuses.values() if row.saga_key.endswith("-fine") and "voyage-" in row.saga_key)
    action = f"{row.saga_id}:tug"
    ledger.append(Effect(10**9, action, "action", action))
    ledger.append(Effect(10**9 + 1, action, "compensation", f"{action}:undo"))


def seat_not_given_back(found: Snapshot, _: Journals, ledger: list[Effect]) -> None:
    keys = {row.saga_key for row in found.statuses.values() if row.saga_name == "torture-trip"}
    ledger.remove(next(o for o in ledger if o.direction == "compensation" and o.action.partition(":")[0] in keys))


def done_in_another_order(found: Snapshot, _: Journals, ledger: list[Effect]) -> None:
    saga_id = a_saga(found, "torture-voyage", "completed").saga_id
    swap(ledger, *(numbered(ledger, f"{saga_id}:{step}", "action") for step in ("hold", "announce")))


def undone_in_another_order(found: Snapshot, _: Journals, ledger: list[Effect]) -> None:
    saga_id = rolled_back(found, ledger).saga_id
    swap(ledger, *(numbered(ledger, f"{saga_id}:{step}", "compensation") for step in ("hold", "inspect")))


def child_undone_after_what_came_before_it(found: Snapshot, _: Journals, ledger: list[Effect]) -> None:
    actions = {one.action for one in ledger if one.direction == "compensation"}
    child = next(
        row
        for row in found.statuses.values()
        if row.saga_name == "torture-catering" and f"{row.saga_id}:bake" in actions
    )
    parent = child.saga_key.partition(":")[0]
    swap(
        ledger,
        numbered(ledger, f"{child.saga_id}:bake", "compensation"),
        numbered(ledger, f"{parent}:hold", "compensation"),
    )


def child_left_behind(found: Snapshot, _: Journals, __: list[Effect]) -> None:
    row = a_saga(found, "torture-catering", "failed")
    found.statuses[row.saga_id] = replace(row, status="completed")


def child_of_nobody(found: Snapshot, _: Journals, __: list[Effect]) -> None:
    del found.statuses[a_saga(found, "torture-catering", "completed").saga_key.partition(":")[0]]


def child_missing(found: Snapshot, _: Journals, __: list[Effect]) -> None:
    del found.statuses[a_saga(found, "torture-cleaning", "completed").saga_id]


def said_again(found: Snapshot, kind: type[SagaEvent], **otherwise: object) -> None:
    """Let a saga that was undone say at its end once more what it said on its way forward, or nearly so."""
    for saga_id, stream in found.streams().items():
        events = CODEC.decode_all((event.topic, event.state) for event in stream)
        said = [event for event, value in zip(stream, events, strict=True) if isinstance(value, kind)]
        is_led = isinstance(events[0], SagaStarted) and events[0].kind != "choreography"
        if is_led and found.statuses[saga_id].status == "failed" and said:
            last = found.events[-1].position
            state = msgspec.json.encode(msgspec.json.decode(said[0].state) | otherwise)
            found.events.append(replace(said[0], state=state, version=len(stream) + 1, position=last + 1))
            return


def asked_once_undoing(found: Snapshot, _: Journals, __: list[Effect]) -> None:
    said_again(found, RequestSent)


def fanned_out_once_undoing(found: Snapshot, _: Journals, __: list[Effect]) -> None:
    said_again(found, StepFannedOut)


def begun_once_undoing(found: Snapshot, _: Journals, __: list[Effect]) -> None:
    said_again(found, StepSucceeded, began=2**61, late=False)


def left(what: str) -> Falsify:
    def falsify(found: Snapshot, _: Journals, __: list[Effect]) -> None:
        found.left[what] = 3

    return falsify


def posted_message_lost(_: Snapshot, journals: Journals, __: list[Effect]) -> None:
    journals.posted.add("nowhere")


def published_message_lost(_: Snapshot, journals: Journals, __: list[Effect]) -> None:
    journals.published.append(("nowhere", "trip-000001-fine"))


def started_by_nothing(_: Snapshot, journals: Journals, __: list[Effect]) -> None:
    journals.published.append((journals.published[0][0], "trip-999999-fine"))


def message_twice_in_the_log(found: Snapshot, _: Journals, __: list[Effect]) -> None:
    message = next(iter(found.messages().values()))[0]
    found.events.append(replace(message, version=2, position=found.events[-1].position + 1))


def mended_for_nothing(_: Snapshot, journals: Journals, __: list[Effect]) -> None:
    journals.mended.append(("saga torture-voyage voyage-1", "nobody knows"))


def stranded(found: Snapshot, _: Journals, __: list[Effect]) -> None:
    row = a_saga(found, "torture-voyage", "completed")
    found.statuses[row.saga_id] = replace(row, status="pending", owner="somebody")


def ended_otherwise(found: Snapshot, _: Journals, __: list[Effect]) -> None:
    row = next(row for row in found.statuses.values() if row.saga_key.endswith("-fine") and "voyage-" in row.saga_key)
    found.statuses[row.saga_id] = replace(row, status="failed")


def stuck_and_silent(found: Snapshot, _: Journals, __: list[Effect]) -> None:
    row = a_saga(found, "torture-trip", "failed")
    found.statuses[row.saga_id] = replace(row, status="stuck", error_text=None)


@pytest.mark.parametrize(
    ("falsify", "says"),
    [
        (done_twice, "was done 2 times"),
        (undone_twice, "the compensation"),
        (undone_before_it_was_done, "was undone before it was done"),
        (effect_of_nobody, "which is no saga"),
        (effect_lost, "stand, expected"),
        (effect_of_a_child_lost, "torture-catering"),
        (effect_of_an_element_lost, "stand, expected"),
        (effect_never_undone, "['hold'] stand, expected []"),
        (effect_that_nobody_planned, "has made ['tug'], too"),
        (seat_not_given_back, "['seat'] stand, expected []"),
        (done_in_another_order, "was done before"),
        (undone_in_another_order, "hold was undone while inspect stood"),
        (child_undone_after_what_came_before_it, "hold was undone while bake stood"),
        (child_left_behind, "is completed, its parent"),
        (child_of_nobody, "has no parent"),
        (child_missing, "without its child clean"),
        (asked_once_undoing, "after it had begun to undo"),
        (begun_once_undoing, "after it had begun to undo"),
        (fanned_out_once_undoing, "out after it had begun to undo"),
        *((left(what), f"3 {what}") for what in LEFT),
        (posted_message_lost, "was acknowledged and is lost"),
        (published_message_lost, "was acknowledged to who published it"),
        (started_by_nothing, "was to start trip-999999-fine"),
        (message_twice_in_the_log, "stands 2 times in the log"),
        (mended_for_nothing, "nothing was planted"),
        (stranded, "owned by somebody"),
        (ended_otherwise, "expected completed"),
        (stuck_and_silent, "stuck without a reason"),
    ],
)
def test_a_falsified_fact_of_voyages_is_found(stage: Stage, falsify: Falsify, says: str) -> None:
    found, journals, ledger = stage.snapshot(), stage.journals(), stage.ledger()
    falsify(found, journals, ledger)
    violations = stage.what_is_wrong(found, journals, ledger)
    assert any(says in violation for violation in violations), violations


def test_a_table_that_differs_from_the_log_is_found_by_sagalog_check(stage: Stage) -> None:
    with closing(sqlite3.connect(stage.database.removeprefix("sqlite:///"))) as connection:
        connection.execute(SQL["falsify_a_row"])
        connection.commit()
        violations = stage.what_sagalog_finds()
        connection.execute(SQL["falsify_a_row_no_more"])
        connection.commit()
    assert any("`sagalog check` ended with exit code 1" in violation for violation in violations), violations
