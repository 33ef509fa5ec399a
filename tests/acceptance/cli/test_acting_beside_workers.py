"""Acting on a saga that a worker owns, in a process of its own; and being asked at a terminal."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from databases.stores import EACH_KIND, migrated_database
from pages.command_line import UNSET, program, sagalog
from pages.terminal import Terminal
from sagas.desk import WHY, Desk
from sagas.parcel_orders import APP, UNTIL, ordered, started

PATIENCE_SECONDS = 30.0
SUPPORT = str(Path(__file__).parents[2] / "support")


@pytest.fixture(params=EACH_KIND[1:])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    address = migrated_database(request.param, tmp_path, request)
    assert isinstance(address, str)
    return Desk(address, tmp_path, APP)


def environment() -> dict[str, str]:
    """Return the environment of a process that finds the app where the tests have it."""
    return {name: value for name, value in os.environ.items() if name not in UNSET} | {"PYTHONPATH": SUPPORT}


@pytest.fixture
def bank(desk: Desk) -> Path:
    """The file that lets the bank answer."""
    return desk.folder / "answer"


@pytest.fixture
def worker(desk: Desk, bank: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker in a process of its own, which is at a step that has not ended."""
    started(desk.address, "o-1", f"{UNTIL}{bank}")
    words = program("--db", desk.address, "--app-dir", str(desk.folder), "--app", APP, "run")
    with subprocess.Popen(words, env=environment(), stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: desk.row("o-1")["owner"] is not None and desk.row("o-1")["current_step"] == "pay")
        yield process
        process.kill()


def wait_for(is_so: Callable[[], bool]) -> None:
    """Look again and again until it is so; each look takes a while, so nothing need be slept."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < ends, "it never was so"


def has_seen_the_letters(desk: Desk) -> None:
    """Wait until the worker has read what is in the inbox: whoever takes up another saga reads that, too."""
    started(desk.address, "o-2", "well")
    wait_for(lambda: desk.row("o-2")["status"] == "completed")


def letters(desk: Desk) -> int:
    (row,) = json.loads(desk.sagalog("sql", "SELECT count(*) AS letters FROM saga_inbox", "-o", "json").out)
    return int(row["letters"])


def test_the_worker_that_owns_a_saga_takes_the_action_between_two_attempts(
    desk: Desk, bank: Path, worker: "subprocess.Popen[bytes]"
) -> None:
    words = ("cancel", "o-1", *WHY, "--db", desk.address, "--app-dir", str(desk.folder), "--app", APP, "-o", "json")
    with subprocess.Popen(program(*words), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as acting:
        wait_for(lambda: letters(desk) == 1)
        has_seen_the_letters(desk)
        bank.touch()
        out, err = acting.communicate(timeout=PATIENCE_SECONDS)
    assert (acting.returncode, err) == (0, b"")
    told = json.loads(out)
    assert [one["type"] for one in told["events"]] == ["ActionTaken", "CompensationStarted"]
    assert (told["outcome"], told["status"], told["to_undo"]) == ("done", "compensating", ["pay", "reserve"])
    assert desk.sagalog("wait", "o-1", "--timeout", "20s").code == 10
    succeeded = [one["data"]["step"] for one in desk.history("o-1") if one["type"] == "StepSucceeded"]
    assert succeeded == ["reserve", "pay"]


def test_an_action_may_be_left_to_the_worker(desk: Desk, bank: Path, worker: "subprocess.Popen[bytes]") -> None:
    did = desk.sagalog("pause", "o-1", *WHY, "--queue", "-o", "json")
    told = json.loads(did.out)
    assert (did.code, told["outcome"], told["events"]) == (0, "queued", [])
    assert "pause is queued: worker " in desk.sagalog("pause", "o-1", *WHY, "--queue").out
    has_seen_the_letters(desk)
    bank.touch()
    wait_for(lambda: letters(desk) == 0)
    types = [one["type"] for one in desk.history("o-1")]
    assert types == ["SagaStarted", "StepSucceeded", "StepSucceeded", "ActionTaken", "ActionRefused"]


def test_what_a_busy_worker_does_not_take_is_taken_back(desk: Desk, worker: "subprocess.Popen[bytes]") -> None:
    before = desk.history("o-1")
    ran = desk.sagalog("cancel", "o-1", *WHY, "--timeout", "100ms")
    assert (ran.code, ran.out, letters(desk)) == (4, "", 0)
    assert "(step pay, attempt 1), which did not take it within 0.1 s; the action was taken back" in ran.err
    assert desk.history("o-1") == before


def test_a_trace_shows_no_action_as_a_message(desk: Desk, bank: Path, worker: "subprocess.Popen[bytes]") -> None:
    desk.sagalog("pause", "o-1", *WHY, "--queue")
    has_seen_the_letters(desk)
    bank.touch()
    wait_for(lambda: letters(desk) == 0)
    traced = sagalog("show", "o-1", "--trace", "--db", desk.address)
    assert traced.code == 0
    assert "Act" not in traced.out


def asked(desk: Desk, answer: str) -> tuple[int, str]:
    """Abandon an order at a terminal, and answer; return the exit code, and what was written."""
    words = program("abandon", "o-1", *WHY, "--db", desk.address, "--app-dir", str(desk.folder), "--app", APP)
    with Terminal(words, environment()) as terminal:
        terminal.until("abandon o-1? [y/N]: ")
        terminal.type(answer)
        return terminal.ended(), terminal.written


@pytest.fixture
def stuck(tmp_path: Path) -> Desk:
    address = f"sqlite:///{tmp_path / 'sagas.db'}"
    ordered(address, "o-1", "no refund")
    return Desk(address, tmp_path, APP)


def test_at_a_terminal_one_is_told_what_is_left_and_asked(stuck: Desk) -> None:
    code, written = asked(stuck, "y\n")
    assert code == 0
    assert written.index("nobody undoes them") < written.index("pay") < written.index("abandon o-1?")
    assert stuck.row("o-1")["status"] == "abandoned"


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("\n", 1), ("\x03", 130)])
def test_whoever_does_not_say_yes_changes_nothing(stuck: Desk, answer: str, code: int) -> None:
    before = stuck.history("o-1")
    found, written = asked(stuck, answer)
    assert found == code
    assert ("interrupted" if code == 130 else "nothing was done") in written
    assert stuck.history("o-1") == before
