"""Replay: the state after each event, at any version or time, from the database or from an exported file."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pages.command_line import sagalog, write_app
from sagas.shop_demo import FinishedDemo


@pytest.fixture
def failed(finished_demo: FinishedDemo) -> str:
    """The key of an order that was undone because the carrier did not answer."""
    ran = finished_demo.sagalog("list", "--error", "CarrierMute", "-o", "json")
    found: str = json.loads(ran.out)[0]["saga_key"]
    return found


@pytest.fixture
def exported(finished_demo: FinishedDemo, tmp_path: Path, failed: str) -> Path:
    path = tmp_path / "history.jsonl"
    path.write_text(finished_demo.sagalog("export", failed, "order-0001").out, "utf-8")
    return path


def test_a_replay_shows_what_each_event_changed_one_change_a_line(finished_demo: FinishedDemo, failed: str) -> None:
    lines = finished_demo.sagalog("replay", failed).lines
    assert lines.count("      status: started -> pending") == 1
    assert "      status: pending -> compensating" in lines
    assert "      steps.create_shipment.action: retrying -> unknown" in lines
    assert "      steps.process_payment.undo: pending -> compensated" in lines
    assert "      status: compensating -> failed" in lines


def test_a_replay_of_every_saga_ends_in_the_status_that_the_tables_say(finished_demo: FinishedDemo) -> None:
    """Invariant 39, on what a person sees."""
    listed = json.loads(finished_demo.sagalog("list", "--limit", "40", "-o", "json").out)
    for row in listed:
        last = json.loads(finished_demo.sagalog("replay", row["saga_id"], "-o", "jsonl").out.splitlines()[-1])
        assert (last["state"]["status"], last["version"]) == (row["status"], row["version"])


def test_a_replay_stops_at_a_version(finished_demo: FinishedDemo, failed: str) -> None:
    ran = finished_demo.sagalog("replay", failed, "--at", "3")
    assert "State after 3 events" in ran.out
    assert re.search(r"steps.process_payment.action +succeeded", ran.out)
    assert "create_shipment" not in ran.out
    state = json.loads(finished_demo.sagalog("replay", failed, "--at", "3", "-o", "json").out)["state"]
    assert (state["status"], state["version"]) == ("pending", 3)


def test_a_replay_stops_at_a_time(finished_demo: FinishedDemo, failed: str) -> None:
    events = [json.loads(line) for line in finished_demo.sagalog("history", failed, "-o", "jsonl").out.splitlines()]
    for event in events[:3]:
        ran = finished_demo.sagalog("replay", failed, "--at", event["time"], "-o", "json")
        assert json.loads(ran.out)["version"] == event["version"]


def test_before_its_first_event_there_is_no_saga(finished_demo: FinishedDemo, failed: str) -> None:
    for at in ("0", "2001-01-01"):
        ran = finished_demo.sagalog("replay", failed, "--at", at)
        assert ran.code == 3
        assert ran.err.startswith("error: there was no saga yet: it began at ")


def test_a_version_that_was_never_reached_is_not_found(finished_demo: FinishedDemo) -> None:
    ran = finished_demo.sagalog("replay", "order-0001", "--at", "99")
    assert (ran.code, ran.err) == (3, "error: the saga has 5 events, there is no version 99\n")


def test_what_is_neither_version_nor_time_is_refused(finished_demo: FinishedDemo) -> None:
    assert finished_demo.sagalog("replay", "order-0001", "--at", "soon").code == 2


def test_an_exported_saga_replays_as_the_one_in_the_database(
    finished_demo: FinishedDemo, exported: Path, failed: str
) -> None:
    ran = sagalog("replay", failed, "--from", str(exported))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == finished_demo.sagalog("replay", failed).out


def test_an_export_may_be_piped_into_a_replay(finished_demo: FinishedDemo) -> None:
    text = finished_demo.sagalog("export", "order-0001").out
    ran = sagalog("replay", "--from", "-", "--at", "5", given=text)
    assert ran.code == 0
    assert re.search(r"status +completed", ran.out)


def test_of_several_exported_sagas_one_has_to_be_named(exported: Path, failed: str) -> None:
    ran = sagalog("replay", "--from", str(exported))
    assert (ran.code, ran.out) == (2, "")
    assert f"has 2 sagas: name one of {failed}, order-0001" in ran.err
    assert sagalog("replay", "nobody", "--from", str(exported)).code == 3


TWO_LINES = """
from contextlib import contextmanager
from sagalog import Refused, Saga

saga = Saga("said", input=dict[str, str], key=lambda given: given["key"])

@saga.step(compensation=None)
def say(given: dict[str, str]) -> str:
    return "one\\ntwo\\r\\n\u2028three"

@saga.step(compensation=None)
def refuse(given: dict[str, str]) -> None:
    raise Refused("four\\nfive")

sagas = [saga]

@contextmanager
def services():
    yield {}
"""


def test_line_ends_of_texts_are_shown_as_what_they_are(tmp_path: Path) -> None:
    """Two texts that differ must not look alike where what an event changed is shown."""
    name = write_app(tmp_path, "app_of_two_lines", TWO_LINES)
    database = ("--db", str(tmp_path / "a.db"))
    app = (*database, "--app-dir", str(tmp_path), "--app", name)
    assert sagalog(*app, "start", "said", "--input", "-", "--wait", given='{"key": "k"}').code == 10
    for words in (("replay", "k"), ("replay", "k", "--at", "2"), ("replay", "k", "--at", "3")):
        ran = sagalog(*database, *words)
        assert "one\\ntwo\\r\\n\\u2028three" in ran.out
    for command in ("replay", "show", "history", "list", "wait"):
        ran = sagalog(*database, command, *(() if command == "list" else ("k",)))
        assert "four\\nfive" in ran.out
        assert "four five" not in ran.out


def broken(lines: list[str], how: str) -> str:
    event: dict[str, Any] = json.loads(lines[1])
    match how:
        case "not JSON":
            return "\n".join([lines[0], "{nonsense"])
        case "another object":
            return "\n".join([lines[0], '{"a": 1}'])
        case "a missing event":
            return "\n".join([lines[0], *lines[2:]])
        case "an unknown topic":
            return "\n".join([lines[0], json.dumps(event | {"topic": "os.system"})])
        case "a changed event":
            return "\n".join([lines[0], json.dumps(event | {"data": {"time": "noon"}})])
        case "an event out of turn":
            return "\n".join([lines[0], json.dumps(event | {"topic": "sagalog.SagaResumed.1", "data": RESUMED})])
        case _:
            return ""


RESUMED = {"time": 1, "actor": "ada", "reason": "none"}


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("not JSON", "line 2: expected an event of `sagalog export`"),
        ("another object", "line 2: expected an event of `sagalog export`"),
        ("a missing event", "line 2: expected version 2 of saga"),
        ("an unknown topic", "expected a registered topic, found 'os.system'"),
        ("a changed event", "expected the JSON of sagalog.StepSucceeded.1"),
        ("an event out of turn", "expected an event that can follow status started"),
        ("empty", "is empty"),
    ],
)
def test_a_broken_export_is_refused_with_its_place(finished_demo: FinishedDemo, how: str, text: str) -> None:
    """Invariant 40: a malformed history is refused."""
    given = broken(finished_demo.sagalog("export", "order-0001").out.splitlines(), how)
    ran = sagalog("replay", "--from", "-", given=given)
    assert (ran.code in (1, 3), ran.out) == (True, "")
    assert text in ran.err
    assert ran.err.count("\n") == 1


def test_without_a_person_step_by_step_goes_through_to_the_end(finished_demo: FinishedDemo) -> None:
    stepped = finished_demo.sagalog("replay", "order-0001", "--step")
    assert stepped.out == finished_demo.sagalog("replay", "order-0001").out


def test_a_replay_needs_to_know_what_to_replay(finished_demo: FinishedDemo) -> None:
    assert finished_demo.sagalog("replay").code == 2
    assert finished_demo.sagalog("replay", "order-0001", "--step", "-o", "json").code == 2
    assert finished_demo.sagalog("replay", "--from", "not-there.jsonl").code == 2
