"""Each check of a torture run finds what it is there for: what workers left is falsified, one fact at a time."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from msgspec.structs import replace
from torture.journals import Claim, Journals
from torture.snapshot import SQL, Snapshot
from torture.stage import Stage, a_database, wait_until

pytestmark = pytest.mark.crash

Falsify = Callable[[Snapshot, Journals], None]
ORDERS = 30


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """What two workers have left, one of them killed."""
    folder = tmp_path_factory.mktemp("left")
    settings = {"lease": 0.3, "poll": 0.02}
    with a_database(folder, None) as database, Stage(database, folder, settings) as stage:
        stage.start_orders(ORDERS - 1)
        first = stage.worker("first", slow=0.1)
        wait_until(lambda: stage.number("events") > ORDERS + 5, 20.0)
        stage.processes.kill(first)
        second = stage.worker("second")
        stage.at_rest(20.0)
        stage.processes.kill(second)
        yield stage


def test_what_workers_leave_passes_every_check(stage: Stage) -> None:
    assert stage.violations(stage.snapshot(), stage.journals()) == []


def lost_event(found: Snapshot, _: Journals) -> None:
    del found.events[-1]


def event_from_nowhere(found: Snapshot, _: Journals) -> None:
    found.events[-1] = replace(found.events[-1], state=found.events[-1].state.replace(b'"time":1', b'"time":2'))


def position_twice(found: Snapshot, _: Journals) -> None:
    found.events[-1] = replace(found.events[-1], position=found.events[-2].position)


def version_left_out(found: Snapshot, _: Journals) -> None:
    found.events[-1] = replace(found.events[-1], version=found.events[-1].version + 1)


def status_row_lost(found: Snapshot, _: Journals) -> None:
    found.statuses.popitem()


def status_row_behind(found: Snapshot, _: Journals) -> None:
    saga_id, row = found.statuses.popitem()
    found.statuses[saga_id] = replace(row, updated_at=row.updated_at - 1)


def step_row_lost(found: Snapshot, _: Journals) -> None:
    found.steps.popitem()


def step_row_behind(found: Snapshot, _: Journals) -> None:
    rows = next(iter(found.steps.values()))
    rows[0] = replace(rows[0], attempts=rows[0].attempts + 1)


def saga_never_ends(found: Snapshot, _: Journals) -> None:
    saga_id, row = found.statuses.popitem()
    found.statuses[saga_id] = replace(row, status="pending")


def saga_still_owned(found: Snapshot, _: Journals) -> None:
    saga_id, row = found.statuses.popitem()
    found.statuses[saga_id] = replace(row, owner="somebody")


def wrong_end(found: Snapshot, _: Journals) -> None:
    saga_id = next(row.saga_id for row in found.statuses.values() if row.status == "completed")
    found.statuses[saga_id] = replace(found.statuses[saga_id], status="failed")


def key_twice(found: Snapshot, _: Journals) -> None:
    rows = list(found.statuses.values())
    found.statuses[rows[0].saga_id] = replace(rows[0], saga_key=rows[1].saga_key)


def audit_with_a_row(found: Snapshot, _: Journals) -> None:
    found.audits.append(("stuck_without_a_reason", ("saga",)))


def start_lost(_: Snapshot, journals: Journals) -> None:
    journals.acknowledged.append(("order-999999-fine", "nowhere", True))


def started_twice(_: Snapshot, journals: Journals) -> None:
    journals.acknowledged.append(journals.acknowledged[0])


def owner_without_a_claim(_: Snapshot, journals: Journals) -> None:
    journals.claims.popitem()


def owner_after_another(_: Snapshot, journals: Journals) -> None:
    last = max((one for one in journals.appends.values() if one.holder), key=lambda one: one.tried_at)
    journals.claims[last.saga_id].append(Claim("another", last.tried_at - 1, last.tried_at - 1))


def taken_from_the_living(_: Snapshot, journals: Journals) -> None:
    journals.extend_leases(10_000_000)


def called_too_early(_: Snapshot, journals: Journals) -> None:
    call = next(call for call in journals.calls if call.key.endswith("process_payment"))
    journals.calls.append(replace(call, version=1))


def called_before_the_retry_was_due(_: Snapshot, journals: Journals) -> None:
    journals.calls[:] = [replace(call, at=1) for call in journals.calls]


def called_under_another_key(_: Snapshot, journals: Journals) -> None:
    journals.calls[0] = replace(journals.calls[0], key=journals.calls[0].key + ":2")


def acknowledged_by_two(_: Snapshot, journals: Journals) -> None:
    one = next(iter(journals.appends.values()))
    journals.appends["another", one.saga_id, one.expected, one.print] = replace(one, process="another")


@pytest.mark.parametrize(
    ("falsify", "says"),
    [
        (lost_event, "acknowledged and are lost"),
        (event_from_nowhere, "nobody tried to append"),
        (position_twice, "positions do not increase"),
        (version_left_out, "has the versions"),
        (status_row_lost, "has no status row"),
        (status_row_behind, "the status row of saga"),
        (step_row_lost, "the step rows of saga"),
        (step_row_behind, "the step rows of saga"),
        (saga_never_ends, "is pending"),
        (saga_still_owned, "still owned by somebody"),
        (wrong_end, "expected completed"),
        (key_twice, "2 sagas have the key"),
        (audit_with_a_row, "audit stuck_without_a_reason"),
        (start_lost, "was acknowledged as nowhere"),
        (started_twice, "told that it was new"),
        (owner_without_a_claim, "had never claimed it"),
        (owner_after_another, "after another had taken it"),
        (taken_from_the_living, "whose lease went on"),
        (called_too_early, "was called at version 1"),
        (called_before_the_retry_was_due, "due from"),
        (called_under_another_key, ":2 was called"),
        (acknowledged_by_two, "2 appends of event"),
    ],
)
def test_a_falsified_fact_is_found(stage: Stage, falsify: Falsify, says: str) -> None:
    found, journals = stage.snapshot(), stage.journals()
    falsify(found, journals)
    violations = stage.violations(found, journals)
    assert any(says in violation for violation in violations), violations


def test_an_effect_made_twice_is_found(stage: Stage) -> None:
    with closing(sqlite3.connect(stage.folder / "shop.db")) as connection:
        connection.execute(SQL["falsify_double_effect"])
        connection.commit()
        violations = stage.violations(stage.snapshot(), stage.journals())
        connection.execute(SQL["falsify_no_more"])
        connection.commit()
    assert any("made more than once" in violation for violation in violations), violations


def test_what_a_process_must_not_log_is_found(stage: Stage) -> None:
    before = stage.log.read_text(encoding="utf-8")
    stage.log.write_text(f"{before}\nsaga 1 is left alone until this process ends", encoding="utf-8")
    assert any("left alone" in violation for violation in stage.what_was_logged())
    stage.log.write_text(before, encoding="utf-8")
