"""Looking at sagas on the command line: list, show, history, replay, export, wait; on the finished demo."""

import csv
import io
import json
import re
import shlex
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from pages.command_line import sagalog
from sagas.shop_demo import COUNTS, SAGAS_COUNT, FinishedDemo

from domain.sample import ORDERS_COUNT

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d")


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def first_key(demo: FinishedDemo, *words: str) -> str:
    """Return the key of the first order with a coordinator that a list shows."""
    listed = demo.sagalog("list", "--saga", "order-fulfilment", *words, "-o", "jsonl")
    found: str = rows(listed.out)[0]["saga_key"]
    return found


@pytest.fixture
def stuck(finished_demo: FinishedDemo) -> str:
    """The key of the order that needs a person."""
    return first_key(finished_demo, "--status", "stuck")


@pytest.fixture
def failed(finished_demo: FinishedDemo) -> str:
    """The key of an order that was undone because the carrier did not answer."""
    return first_key(finished_demo, "--error", "carriermute")


def test_sagas_are_listed_by_status(finished_demo: FinishedDemo) -> None:
    for status, count in COUNTS.items():
        ran = finished_demo.sagalog("list", "--status", status, "--limit", "1000", "-o", "jsonl")
        assert [row["status"] for row in rows(ran.out)] == [status] * count


def test_several_statuses_may_be_asked_for(finished_demo: FinishedDemo) -> None:
    ran = finished_demo.sagalog("list", "--status", "failed", "--status", "stuck", "--limit", "1000", "-o", "jsonl")
    assert len(rows(ran.out)) == COUNTS["failed"] + COUNTS["stuck"]


def test_sagas_are_listed_by_saga_key_error_and_age(finished_demo: FinishedDemo) -> None:
    def count(*words: str) -> int:
        return len(rows(finished_demo.sagalog("list", *words, "--limit", "1000", "-o", "jsonl").out))

    assert count("--saga", "order-fulfilment") == ORDERS_COUNT
    assert count("--saga", "other") == 0
    assert count("--key", "order-0007") == 1
    assert count("--error", "TOK_CLOSED_ACCOUNT") == 1
    assert count("--older", "1h") == 0
    assert count("--newer", "1h") == SAGAS_COUNT
    assert count("--older", "0ms") == SAGAS_COUNT


def test_the_printed_command_for_the_next_page_leads_through_all_sagas(finished_demo: FinishedDemo) -> None:
    seen: list[str] = []
    words = ["list", "--newer", "2h", "--limit", "120", "-o", "jsonl"]
    ran = finished_demo.sagalog(*words)
    for _ in range(5):
        seen += [row["saga_id"] for row in rows(ran.out)]
        if not ran.err:
            break
        assert ran.err.startswith("next page: sagalog --db ")
        ran = sagalog(*shlex.split(ran.err.removeprefix("next page: "))[1:])
    assert len(seen) == len(set(seen)) == SAGAS_COUNT
    assert seen == sorted(seen, reverse=True)


def test_the_next_page_is_never_offered_when_there_is_none(finished_demo: FinishedDemo) -> None:
    assert finished_demo.sagalog("list", "--limit", str(SAGAS_COUNT)).err == ""


def test_the_next_page_does_not_name_a_database_that_the_environment_names(finished_demo: FinishedDemo) -> None:
    ran = sagalog("list", "--limit", "1", environment={"SAGALOG_DB": str(finished_demo.folder / "demo.db")})
    assert ran.err.startswith("next page: sagalog list --limit 1 --after ")


def test_going_on_after_a_saga_that_is_not_there_is_an_error(finished_demo: FinishedDemo) -> None:
    ran = finished_demo.sagalog("list", "--after", "nobody")
    assert (ran.code, ran.out) == (3, "")


def test_the_list_shows_times_with_offset_and_the_error(finished_demo: FinishedDemo, stuck: str) -> None:
    ran = finished_demo.sagalog("list", "--saga", "order-fulfilment", "--status", "stuck")
    title, _, line = ran.lines
    assert title.split()[:4] == ["ID", "SAGA", "KEY", "STATUS"]
    assert ISO.search(line)
    assert f"{stuck}  stuck" in line
    assert "the compensation of process_payment failed for good" in line


def test_an_empty_list_says_that_nothing_matches(finished_demo: FinishedDemo) -> None:
    ran = finished_demo.sagalog("list", "--key", "nobody")
    assert (ran.code, ran.err) == (0, "no saga matches\n")


@pytest.mark.parametrize("words", [["list", "--limit", "3"], ["history", "order-0001"], ["show", "order-0001"]])
def test_rows_are_the_same_in_jsonl_and_csv(finished_demo: FinishedDemo, words: list[str]) -> None:
    jsonl = rows(finished_demo.sagalog(*words, "-o", "jsonl").out)
    table = list(csv.DictReader(io.StringIO(finished_demo.sagalog(*words, "-o", "csv").out)))
    assert len(jsonl) == len(table) > 1
    assert [list(row) for row in jsonl] == [list(row) for row in table]
    assert [row["saga_id"] for row in jsonl] == [row["saga_id"] for row in table]


def test_the_format_may_be_said_before_the_command(finished_demo: FinishedDemo) -> None:
    database = str(finished_demo.folder / "demo.db")
    found = json.loads(sagalog("-o", "json", "--db", database, "list", "--limit", "2").out)
    assert len(found) == 2


def test_a_saga_is_shown_by_key_or_by_id(finished_demo: FinishedDemo) -> None:
    by_key = finished_demo.sagalog("show", "order-0001")
    saga_id = rows(finished_demo.sagalog("list", "--key", "order-0001", "-o", "jsonl").out)[0]["saga_id"]
    assert by_key.code == 0
    assert finished_demo.sagalog("show", saga_id).out == by_key.out


def test_a_stuck_saga_shows_why_what_is_pending_and_what_may_be_done(finished_demo: FinishedDemo, stuck: str) -> None:
    """Invariants 24, 25 and 48."""
    shown = finished_demo.sagalog("show", stuck).out
    assert re.search(r"stuck because +the compensation of process_payment failed for good", shown)
    assert re.search(r"still to undo +process_payment, reserve_inventory", shown)
    assert re.search(rf"you may +sagalog .* retry {stuck} --reason", shown)
    assert re.search(r"waits for +a person", shown)
    assert re.search(r"create_shipment +failed +4 ", shown)
    assert re.search(r"undo process_payment +failed +1 .*Refused: .*closed", shown)
    assert re.search(r"undo reserve_inventory +pending", shown)


def test_a_failed_saga_shows_its_steps_durations_and_cause(finished_demo: FinishedDemo, failed: str) -> None:
    """Invariant 25."""
    shown = finished_demo.sagalog("show", failed).out
    assert re.search(r"cause +create_shipment: CarrierMute: ", shown)
    assert re.search(r"ended +\S+, after [\d.]+ m?s", shown)
    assert re.search(r"process_payment +succeeded +1 +\+[\d.]+ m?s +[\d.]+ m?s", shown)
    undone = [line.split()[1] for line in shown.splitlines() if line.startswith("undo ")]
    assert undone == ["create_shipment", "process_payment", "reserve_inventory"]


def test_an_order_with_nobody_in_charge_shows_in_one_line_what_also_came(finished_demo: FinishedDemo) -> None:
    choreographed = json.loads(
        finished_demo.sagalog("list", "--saga", "order-fulfilment-choreographed", "-o", "json").out
    )
    assert choreographed
    for row in choreographed:
        shown = finished_demo.sagalog("show", row["saga_id"]).out
        also = [line for line in shown.splitlines() if line.lstrip().startswith("also came ")]
        kept = json.loads(finished_demo.sagalog("show", row["saga_id"], "-o", "json").out)["kept"]
        assert [" ".join(line.split()) for line in also] == (
            [f"also came {', '.join(one['name'] for one in kept)}"] if kept else []
        )
        assert not any(line.lstrip().startswith(("kept ", "came early ")) for line in shown.splitlines())


def test_a_saga_in_json_has_its_input_and_its_steps(finished_demo: FinishedDemo, stuck: str) -> None:
    shown = json.loads(finished_demo.sagalog("show", stuck, "-o", "json").out)
    assert shown["input"]["order_id"] == stuck
    assert shown["pending"] == ["process_payment", "reserve_inventory"]
    assert [step["step"] for step in shown["steps"] if step["direction"] == "action"] == [
        "reserve_inventory",
        "process_payment",
        "create_shipment",
    ]
    assert ISO.fullmatch(shown["started_at"])


def test_the_history_has_every_event(finished_demo: FinishedDemo) -> None:
    lines = finished_demo.sagalog("history", "order-0001").lines
    events = ["SagaStarted", "StepSucceeded", "StepSucceeded", "StepSucceeded", "SagaCompleted"]
    assert [line.split()[:1] for line in lines[2:]] == [[str(number)] for number in range(1, 6)]
    assert [event for line in lines[2:] for event in events if event in line.split()][:1] == ["SagaStarted"]
    assert [row["type"] for row in rows(finished_demo.sagalog("history", "order-0001", "-o", "jsonl").out)] == events


def test_waiting_says_by_the_exit_code_how_a_saga_ended(finished_demo: FinishedDemo, failed: str, stuck: str) -> None:
    for key, code, status in (("order-0001", 0, "completed"), (failed, 10, "failed"), (stuck, 11, "stuck")):
        ran = finished_demo.sagalog("wait", key)
        assert finished_demo.sagalog("wait", key, "--timeout", "1ms").code == ran.code
        assert (ran.code, ran.err) == (code, "")
        assert f"order-fulfilment {key}  {status}" in ran.out
        assert json.loads(finished_demo.sagalog("wait", key, "-o", "json").out)["status"] == status
        assert json.loads(finished_demo.sagalog("wait", key, "-o", "jsonl").out)["status"] == status


@pytest.mark.parametrize("command", ["show", "history", "replay", "wait", "export"])
def test_a_saga_that_is_not_there_is_not_found(finished_demo: FinishedDemo, command: str) -> None:
    ran = finished_demo.sagalog(command, "nobody")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == "error: no saga has the id or key 'nobody'; `sagalog list` shows those there are\n"


@pytest.mark.parametrize("command", ["show", "history", "replay", "wait", "export"])
def test_an_id_that_no_store_can_hold_is_refused(finished_demo: FinishedDemo, command: str) -> None:
    for wrong in ("x" * 10_000, "a\tb", "\udcff"):
        ran = finished_demo.sagalog(command, wrong)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("error: the id or key: expected ")


def test_an_export_of_all_sagas_holds_every_event_once(finished_demo: FinishedDemo) -> None:
    exported = rows(finished_demo.sagalog("export", "--all").out)
    assert len({event["saga_id"] for event in exported}) == SAGAS_COUNT
    assert len({event["position"] for event in exported}) == len(exported)
    with closing(sqlite3.connect(finished_demo.folder / "demo.db")) as connection:
        count = "SELECT count(*) FROM saga_events WHERE originator_id NOT LIKE 'message:%'"
        assert connection.execute(count).fetchone() == (len(exported),)


def test_an_export_that_cannot_be_complete_exports_nothing(finished_demo: FinishedDemo) -> None:
    ran = finished_demo.sagalog("export", "order-0001", "nobody")
    assert (ran.code, ran.out) == (3, "")


def test_an_export_needs_sagas_or_all(finished_demo: FinishedDemo) -> None:
    assert finished_demo.sagalog("export").code == 2
    assert finished_demo.sagalog("export", "--all", "order-0001").code == 2


def test_sagas_are_listed_by_their_attributes(finished_demo: FinishedDemo) -> None:
    def keys(*words: str) -> list[str]:
        found = rows(finished_demo.sagalog("list", *words, "--limit", "1000", "-o", "jsonl").out)
        return [row["saga_key"] for row in found]

    [order] = rows(
        finished_demo.sagalog("list", "--key", "order-0001", "--saga", "order-fulfilment", "-o", "jsonl").out
    )
    customer, cents = order["attributes"]["customer"], order["attributes"]["total_cents"]
    of_customer = keys("--attribute", f"customer={customer}")
    assert "order-0001" in of_customer
    assert len(of_customer) < ORDERS_COUNT
    assert set(keys("--attribute", f"customer!={customer}")).isdisjoint(of_customer)
    more, less = keys("--attribute", f"total_cents>{cents}"), keys("--attribute", f"total_cents<={cents}")
    assert sorted([*more, *less]) == sorted(keys("--saga", "order-fulfilment"))
    assert keys("--attribute", f"customer={customer}", "--attribute", f"total_cents>{cents}") == [
        key for key in of_customer if key in more
    ]
    stuck = keys("--status", "stuck", "--saga", "order-fulfilment")
    assert keys("--attribute", "total_cents>=0", "--status", "stuck") == stuck


def test_the_next_page_of_a_list_by_attributes_has_their_conditions(finished_demo: FinishedDemo) -> None:
    ran = finished_demo.sagalog("list", "--attribute", "total_cents>=0", "--limit", "2", "-o", "jsonl")
    command = shlex.split(ran.err.strip().removeprefix("next page: "))
    assert command[command.index("--attribute") + 1] == "total_cents>=0"
    again = finished_demo.sagalog(*command[command.index("list") :])
    assert len(rows(again.out)) == 2
    assert rows(again.out)[0]["saga_id"] < rows(ran.out)[-1]["saga_id"]


def test_show_and_history_tell_the_attributes_of_a_saga(finished_demo: FinishedDemo) -> None:
    shown = finished_demo.sagalog("show", "order-0001", "--saga", "order-fulfilment").out
    assert re.search(r"attributes +customer=\S+, destination=.+, total_cents=\d+", shown)
    first = finished_demo.sagalog("history", "order-0001", "--saga", "order-fulfilment").lines[2]
    assert re.search(r"SagaStarted +order-fulfilment version 1, key order-0001, customer=", first)


def test_an_attribute_that_no_saga_has_is_told_with_names_like_it(finished_demo: FinishedDemo) -> None:
    ran = finished_demo.sagalog("list", "--attribute", "custmer=c-1")
    assert (ran.code, ran.err) == (0, "no saga matches; no saga has an attribute custmer: there are customer\n")
    assert finished_demo.sagalog("list", "--attribute", "customer=nobody").err == "no saga matches\n"


@pytest.mark.parametrize("wrong", ["customer", "=c-1", "a-b=1", "amount=>1", "amount==1", "", "amount>=1e999", "a=\0"])
def test_a_condition_that_is_none_is_one_clear_error(finished_demo: FinishedDemo, wrong: str) -> None:
    ran = finished_demo.sagalog("list", "--attribute", wrong)
    assert ran.code == 2
    assert ran.out == ""
    assert len(ran.err.splitlines()) == 1
    assert ran.err.startswith("error: ")


def test_of_a_stuck_choreography_it_is_said_which_event_lets_it_go_on(finished_demo: FinishedDemo) -> None:
    ran = finished_demo.sagalog("list", "--saga", "order-fulfilment-choreographed", "--status", "stuck", "-o", "jsonl")
    stuck = rows(ran.out)[0]["saga_id"]
    actions = json.loads(finished_demo.sagalog("show", stuck, "-o", "json").out)["actions"]
    shown = finished_demo.sagalog("show", stuck).out
    assert re.search(rf"you may +{re.escape(actions[0])}\n +sagalog .* abandon {stuck} --reason \.\.\.", shown)
