"""Acting on sagas from the command line: each verb on a real saga, seen before it is done, and told after."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from databases.stores import EACH_KIND, migrated_database
from pages.command_line import sagalog, write_app
from sagas.desk import WHY, Desk
from sagas.parcel_orders import APP, only_started, ordered, parcel_order

from sagalog.saga.actions.rules import VERBS


def types(told: dict[str, Any]) -> list[str]:
    return [event["type"] for event in told["events"]]


@pytest.fixture(params=EACH_KIND[1:])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    address = migrated_database(request.param, tmp_path, request)
    assert isinstance(address, str)
    return Desk(address, tmp_path, APP)


def test_a_saga_under_way_is_cancelled(desk: Desk) -> None:
    ordered(desk.address, "o-1", "no bank")
    told = desk.acts("cancel", "o-1")
    assert types(told) == ["ActionTaken", "CompensationStarted"]
    assert (told["status_before"], told["status"], told["to_undo"]) == ("pending", "compensating", ["pay", "reserve"])
    assert told["waits"][0]["what"] == "the end of pay, attempt 2"
    assert desk.goes_on("o-1") == "failed"


def test_what_waits_for_its_next_attempt_is_tried_now(desk: Desk) -> None:
    ordered(desk.address, "o-1", "no bank")
    before = desk.row("o-1")["waiting_until"]
    told = desk.acts("retry", "o-1")
    assert types(told) == ["ActionTaken"]
    assert told["next"][0].startswith("run pay, attempt 2")
    assert desk.row("o-1")["waiting_until"] < before


@pytest.mark.parametrize("verb", ["retry", "resume"])
def test_a_stuck_saga_goes_on(desk: Desk, verb: str) -> None:
    ordered(desk.address, "o-1", "no refund")
    told = desk.acts(verb, "o-1")
    assert types(told)[-1] == "SagaResumed"
    assert (told["status_before"], told["status"], told["next"]) == ("stuck", "compensating", ["undo pay, attempt 2"])


def test_a_step_is_skipped_with_a_result_that_later_steps_read(desk: Desk) -> None:
    ordered(desk.address, "o-1", "no bank")
    told = desk.acts("skip", "o-1", "pay", "--result", '{"cents": 1}')
    assert types(told) == ["ActionTaken", "StepSucceeded"]
    assert told["events"][1]["data"]["result"] == {"cents": 1}
    assert told["next"] == ["run book"]
    assert desk.goes_on("o-1") == "completed"


def test_a_skipped_step_may_be_waived(desk: Desk) -> None:
    ordered(desk.address, "o-1", "no bank")
    desk.acts("skip", "o-1", "pay", "--result", '{"cents": 1}', "--waive")
    told = json.loads(desk.sagalog("cancel", "o-1", *WHY, "-o", "json").out)
    assert "pay" not in told["to_undo"]


def test_a_compensation_that_was_made_by_hand_is_resolved(desk: Desk) -> None:
    ordered(desk.address, "o-1", "no refund")
    told = desk.acts("resolve", "o-1", "pay", "--happened")
    assert types(told) == ["ActionTaken", "StepCompensated", "SagaResumed"]
    assert told["to_undo"] == ["reserve"]
    assert desk.goes_on("o-1") == "failed"


def test_an_action_that_did_not_happen_is_resolved(desk: Desk) -> None:
    ordered(desk.address, "o-1", "no bank")
    told = desk.acts("resolve", "o-1", "pay", "--did-not-happen")
    assert types(told)[:2] == ["ActionTaken", "StepFailed"]
    assert told["to_undo"] == ["reserve"]


def test_the_input_is_amended_once_it_was_told_who_has_read_the_old_one(desk: Desk) -> None:
    ordered(desk.address, "o-1", "no refund")
    told = desk.acts("amend", "o-1", "--input", '{"order_id": "o-1", "mood": "well"}', "--yes")
    assert told["read_by"] == ["reserve", "pay", "the undoing of pay", "book"]
    assert json.loads(desk.sagalog("show", "o-1", "-o", "json").out)["input"]["mood"] == "well"
    desk.sagalog("resume", "o-1", *WHY)
    assert desk.goes_on("o-1") == "failed"


def test_a_result_is_amended(desk: Desk) -> None:
    ordered(desk.address, "o-1", "no bank")
    told = desk.acts("amend", "o-1", "reserve", "--result", '{"number": 8}', "--yes")
    assert told["read_by"] == ["pay"]
    asked = desk.sagalog("amend", "o-1", "reserve", "--result", '{"number": 9}', *WHY)
    assert asked.code == 2
    assert "these have read the old value" in asked.err
    assert "pay      retrying" in asked.err


def test_the_time_of_a_retry_is_moved(desk: Desk) -> None:
    ordered(desk.address, "o-1", "no bank")
    told = desk.acts("reschedule", "o-1", "--at", "2031-05-06T07:08:09.25+00:00", "--step", "pay")
    assert told["events"][0]["data"]["step"] == "pay"
    (step,) = [one for one in told["next"] if one.startswith("run pay")]
    assert "not before 2031-05-06T" in step
    moved = json.loads(desk.sagalog("reschedule", "o-1", "--in", "2h", "--deadline", *WHY, "-o", "json").out)
    assert moved["events"][0]["data"]["of_deadline"] is True


def test_a_saga_is_paused_and_goes_on(desk: Desk) -> None:
    ordered(desk.address, "o-1", "no bank")
    told = desk.acts("pause", "o-1")
    assert told["paused_by"] == "ann"
    assert told["waits"][0]["what"] == "somebody to unpause it, which ann has paused"
    assert json.loads(desk.sagalog("show", "o-1", "-o", "json").out)["paused_by"] == "ann"
    assert re.search(r"paused by +ann", desk.sagalog("show", "o-1").out)
    told = json.loads(desk.sagalog("unpause", "o-1", *WHY, "-o", "json").out)
    assert (told["paused_by"], told["next"][0][:7]) == (None, "run pay")


def test_a_completed_saga_is_undone(desk: Desk) -> None:
    ordered(desk.address, "o-1")
    told = desk.acts("undo", "o-1")
    assert (told["status_before"], told["status"], told["to_undo"]) == ("completed", "compensating", ["pay", "reserve"])
    assert desk.goes_on("o-1") == "failed"


def test_an_abandoned_saga_says_what_it_leaves(desk: Desk) -> None:
    ordered(desk.address, "o-1", "no refund")
    told = desk.acts("abandon", "o-1", "--yes")
    assert types(told) == ["ActionTaken", "SagaAbandoned"]
    assert (told["status"], told["left"], told["to_undo"], told["waits"]) == ("abandoned", ["pay", "reserve"], [], [])
    shown = desk.sagalog("show", "o-1").out
    assert "left as they are  pay, reserve" in shown
    assert "you may" not in shown
    waited = desk.sagalog("wait", "o-1")
    assert (waited.code, waited.out.split()[:3]) == (12, ["parcel-order", "o-1", "abandoned"])
    assert desk.sagalog("check").code == 0


def test_a_saga_says_how_it_was_acted_on(desk: Desk) -> None:
    """What follows from an action is none of its own, in `show` as in `saga_actions`."""
    ordered(desk.address, "o-1", "no refund")
    for number, words in enumerate([("cancel",), ("retry",), ("pause",), ("unpause",), ("abandon", "--yes")], 1):
        desk.sagalog(words[0], "o-1", *words[1:], *WHY, "--action-id", f"a-{number}")
    types = [event["type"] for event in desk.history("o-1")]
    assert (types.count("SagaResumed"), types.count("SagaAbandoned")) == (1, 1)
    told = json.loads(desk.sagalog("show", "o-1", "-o", "json").out)["acted"]
    saw = [(one["verb"], one["action_id"], one["actor"], one["reason"]) for one in told]
    assert saw == [
        (verb, f"a-{number}", "ann", "ticket 4711")
        for number, verb in enumerate(["cancel", "retry", "pause", "unpause", "abandon"], 1)
    ]
    why = "it goes back already, because of Refused: no parcels to the moon"
    assert [one["refused"] for one in told] == [why, None, None, None, None]
    shown = desk.sagalog("show", "o-1").out
    assert re.search(rf"acted on +\S+  cancel, by ann: ticket 4711, refused, for {why}\n +\S+  retry, by ann", shown)
    asked = desk.sagalog("sql", "SELECT * FROM saga_actions ORDER BY position", "-o", "json")
    rows = json.loads(asked.out)
    assert [{name: row[name] for name in told[0] if name != "version"} for row in rows] == [
        {name: value for name, value in one.items() if name != "version"} for one in told
    ]


def test_every_verb_of_the_kernel_is_a_command() -> None:
    commands = sagalog("--help").out
    assert [verb for verb in VERBS if f"\n  {verb} " not in commands] == []


def test_a_person_is_told_the_events_the_status_and_what_follows(desk: Desk) -> None:
    ordered(desk.address, "o-1", "no bank")
    saw = desk.sagalog("cancel", "o-1", *WHY, "--dry-run")
    assert saw.lines[0] == "Dry run: nothing was written. parcel-order o-1  cancel would be done; it would append:"
    did = desk.sagalog("cancel", "o-1", *WHY)
    assert did.lines[0] == "parcel-order o-1  cancel done"
    in_history = desk.sagalog("history", "o-1").lines
    assert [" ".join(line.split()) for line in did.lines[4:6]] == [" ".join(line.split()) for line in in_history[-2:]]
    assert "  status     compensating, before it pending" in did.lines
    assert "  to undo    pay, reserve" in did.lines
    assert "  waits for  the end of pay, attempt 2" in did.lines


def test_what_was_done_with_an_id_is_not_done_again(desk: Desk) -> None:
    ordered(desk.address, "o-1", "no bank")
    first = desk.sagalog("pause", "o-1", *WHY, "--action-id", "a-1", "-o", "json")
    desk.sagalog("unpause", "o-1", *WHY)
    again = desk.sagalog("pause", "o-1", *WHY, "--action-id", "a-1", "-o", "json")
    assert json.loads(again.out) == json.loads(first.out)
    saw = desk.sagalog("pause", "o-1", *WHY, "--action-id", "a-1", "-o", "json", "--dry-run")
    assert json.loads(saw.out)["outcome"] == "is done already"
    assert len(desk.history("o-1")) == 5


def test_a_refused_action_is_a_conflict_that_says_why_and_is_recorded(desk: Desk) -> None:
    ordered(desk.address, "o-1")
    events = len(desk.history("o-1"))
    saw = desk.sagalog("cancel", "o-1", *WHY, "--dry-run", "-o", "json")
    assert (saw.code, json.loads(saw.out)["outcome"], len(desk.history("o-1"))) == (4, "would be refused", events)
    did = desk.sagalog("cancel", "o-1", *WHY)
    assert (did.code, did.out) == (4, "")
    assert "does not allow it: it has ended, and is completed. What may be done: undo" in did.err
    assert [event["type"] for event in desk.history("o-1")][events:] == ["ActionRefused"]


@pytest.mark.parametrize("verb", ["pause", "reschedule", "abandon"])
def test_what_needs_no_definition_goes_without_the_app(desk: Desk, verb: str) -> None:
    ordered(desk.address, "o-1", "no bank")
    more = {"reschedule": ("--in", "1h"), "abandon": ("--yes",)}.get(verb, ())
    ran = sagalog(verb, "o-1", *more, *WHY, "--db", desk.address, "--app-dir", str(desk.folder), "-o", "json")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out)["outcome"] == "done"
    assert desk.sagalog("check").code == 0


def test_what_needs_the_app_says_so_and_how_to_give_it(desk: Desk) -> None:
    ordered(desk.address, "o-1", "no bank")
    ran = sagalog("cancel", "o-1", *WHY, "--db", desk.address, "--app-dir", str(desk.folder))
    assert ran.code == 3
    assert ran.err.startswith("error: `sagalog cancel` needs the app, whose saga says what follows; no app was named")
    assert ran.err.endswith("give --app-dir and --app\n")


def test_a_broken_app_does_not_keep_a_saga_from_being_paused(desk: Desk) -> None:
    ordered(desk.address, "o-1", "no bank")
    app = write_app(desk.folder, "app_that_is_broken", "1 / 0")
    words = ("o-1", *WHY, "--db", desk.address, "--app-dir", str(desk.folder))
    ran = sagalog("pause", *words, environment={"SAGALOG_APP": app})
    assert (ran.code, ran.err) == (
        0,
        "the app cannot be loaded, so this is decided without it; `sagalog check` says why\n",
    )
    assert sagalog("unpause", *words, environment={"SAGALOG_APP": app}).code == 1
    # What is named on the command line itself is meant.
    assert sagalog("abandon", *words, "--yes", "--app", app).code == 1


def test_a_saga_of_another_version_is_not_decided_on(desk: Desk) -> None:
    only_started(desk.address, "o-1", parcel_order(version=2))
    ran = desk.sagalog("cancel", "o-1", *WHY)
    assert ran.code == 3
    assert "saga parcel-order version 2 is not loaded in this process" in ran.err
    assert desk.sagalog("pause", "o-1", *WHY).code == 0


def test_an_abandoned_saga_goes_on_as_another(desk: Desk) -> None:
    ordered(desk.address, "o-1", "no bank")
    desk.sagalog("abandon", "o-1", "--yes", *WHY)
    first = desk.row("o-1")["saga_id"]
    did = desk.sagalog("fork", "o-1", "pay", *WHY, "-o", "json")
    assert (did.code, did.err) == (0, "")
    told = json.loads(did.out)
    assert types(told) == ["ActionTaken"]
    forked = json.loads(desk.sagalog("show", told["fork"], "-o", "json").out)
    assert (forked["saga_key"], forked["run"], forked["status"]) == ("o-1", 2, "started")
    assert f"goes on as        saga {told['fork']}" in desk.sagalog("show", first).out
    assert desk.sagalog("fork", first, "pay", *WHY).code == 4
