"""Each audit query finds the one violation it is there for, and nothing among healthy sagas."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from databases.saga_tables import STEPS, SagaTables

from projections import audits, read_audit

# These ask for views of the library, or for the tables of projections: test_audits_of_a_shop_at_work.py plants there.
ELSEWHERE = {
    "actions_without_a_reason",
    "counts_that_the_log_contradicts",
    "messages_settled_without_a_reason",
    "money_is_conserved",
    "rows_without_a_saga",
}
EVERY = {audit.name: audit for audit in audits()}
AUDITS = {name: audit for name, audit in EVERY.items() if name not in ELSEWHERE}
NOW, MINUTE = 1_000_000_000_000, 60_000_000
RESERVE, PAY, SHIP = STEPS
DONE = dict.fromkeys(STEPS, "succeeded")
UNDONE = dict.fromkeys(STEPS, "compensated")


@pytest.fixture
def tables() -> Iterator[SagaTables]:
    with SagaTables() as tables:
        tables.healthy()
        yield tables


def found(tables: SagaTables) -> dict[str, list[str]]:
    """Run every audit and give the saga ids of those that return a row."""
    rows = {
        name: [str(row[0]) for row in tables.connection.execute(audit.asked(NOW))] for name, audit in AUDITS.items()
    }
    return {name: ids for name, ids in rows.items() if ids}


def test_every_audit_says_what_a_row_means() -> None:
    assert len(EVERY) == 11
    assert len(AUDITS) == 6
    assert all("A row is" in audit.meaning for audit in EVERY.values())


def test_an_audit_names_the_projections_that_it_asks_for() -> None:
    over = {name: audit.projections for name, audit in EVERY.items() if audit.projections}
    assert over == {
        "money_is_conserved": ("money",),
        "rows_without_a_saga": ("order-desk", "customers", "money", "open-sagas"),
    }
    assert all("needs:" not in audit.meaning for audit in EVERY.values())


def test_an_audit_that_does_not_say_what_a_row_means_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mute.sql"
    path.write_text("SELECT 1")
    with pytest.raises(ValueError, match=r"mute\.sql"):
        read_audit(path)


def test_healthy_sagas_have_no_row_in_any_audit(tables: SagaTables) -> None:
    assert found(tables) == {}


@pytest.mark.parametrize("action", ["succeeded", "failed", "retrying"])
@pytest.mark.parametrize("compensation", [None, "pending", "running", "retrying", "failed"])
def test_a_failed_saga_with_a_step_not_undone_is_found(
    tables: SagaTables, action: str, compensation: str | None
) -> None:
    """Invariants 15 and 24: in a failed saga every step that may have had an effect is undone."""
    compensations = {} if compensation is None else {RESERVE: compensation}
    tables.saga("bad", "failed", {RESERVE: action}, compensations)
    assert found(tables) == {"failed_but_not_undone": ["bad"]}


def test_a_payment_neither_shipped_nor_refunded_is_found(tables: SagaTables) -> None:
    tables.saga("bad", "completed", {RESERVE: "succeeded", PAY: "succeeded"})
    assert found(tables) == {"captured_but_neither_shipped_nor_refunded": ["bad"]}


def test_a_payment_that_was_only_waived_is_found(tables: SagaTables) -> None:
    actions = {RESERVE: "succeeded", PAY: "failed"}
    tables.saga("bad", "failed", actions, {RESERVE: "compensated", PAY: "waived"})
    assert found(tables) == {"captured_but_neither_shipped_nor_refunded": ["bad"]}


def test_a_cancelled_shipment_does_not_count_as_shipped(tables: SagaTables) -> None:
    tables.saga("bad", "failed", DONE, {**UNDONE, PAY: "failed"})
    assert found(tables) == {
        "captured_but_neither_shipped_nor_refunded": ["bad"],
        "failed_but_not_undone": ["bad"],
    }


@pytest.mark.parametrize("status", ["started", "pending", "compensating"])
def test_an_open_saga_that_nobody_looks_at_is_found(tables: SagaTables, status: str) -> None:
    """Invariant 33: no timer is lost."""
    tables.saga("bad", status, {}, due_at=None)
    assert found(tables) == {"open_but_nobody_looks": ["bad"]}


@pytest.mark.parametrize("status", ["pending", "stuck"])
def test_an_open_saga_that_waits_for_a_child_an_event_or_its_mail_is_looked_at(tables: SagaTables, status: str) -> None:
    """Invariants 28 and 33: whoever is waited for will tell it."""
    tables.saga("parent", "compensating", {}, due_at=None)
    tables.saga("child", status, {}, causation_id="parent")
    tables.saga("waiting", "pending", {}, due_at=None, waiting_for="event ParcelArrived")
    tables.saga("told", "pending", {}, due_at=None)
    tables.mail("told")
    assert found(tables) == {}


def test_an_open_saga_whose_child_has_ended_is_found_if_it_was_not_told(tables: SagaTables) -> None:
    """Invariants 28 and 33."""
    tables.saga("bad", "pending", {}, due_at=None)
    tables.saga("child", "failed", {}, causation_id="bad")
    assert found(tables) == {"open_but_nobody_looks": ["bad"]}


def test_an_ended_saga_without_an_end_time_is_found(tables: SagaTables) -> None:
    tables.saga("bad", "completed", DONE, ended_at=None)
    assert found(tables) == {"ended_but_not_closed": ["bad"]}


def test_an_ended_saga_that_is_still_due_is_found(tables: SagaTables) -> None:
    tables.saga("bad", "failed", {RESERVE: "refused"}, due_at=9)
    assert found(tables) == {"ended_but_not_closed": ["bad"]}


def test_an_open_saga_with_an_end_time_is_found(tables: SagaTables) -> None:
    tables.saga("bad", "pending", {}, ended_at=9)
    assert found(tables) == {"ended_but_not_closed": ["bad"]}


@pytest.mark.parametrize("reason", [None, ""])
def test_a_stuck_saga_without_a_reason_is_found(tables: SagaTables, reason: str | None) -> None:
    tables.saga("bad", "stuck", {RESERVE: "failed"}, error_text=reason)
    assert found(tables) == {"stuck_without_a_reason": ["bad"]}


@pytest.mark.parametrize("status", ["started", "pending", "compensating"])
def test_an_open_saga_whose_time_is_long_past_is_found(tables: SagaTables, status: str) -> None:
    """Invariant 33: nobody has looked when it was due."""
    tables.saga("bad", status, {}, waiting_until=NOW - 6 * MINUTE)
    tables.saga("just late", status, {}, waiting_until=NOW - 4 * MINUTE)
    tables.saga("in time", status, {}, waiting_until=NOW + MINUTE)
    assert found(tables) == {"deadlines_passed": ["bad"]}


@pytest.mark.parametrize("status", ["completed", "failed", "stuck"])
def test_a_saga_for_which_nobody_has_to_look_is_never_late(tables: SagaTables, status: str) -> None:
    tables.saga("at rest", status, {}, waiting_until=NOW - 60 * MINUTE)
    assert found(tables) == {}
