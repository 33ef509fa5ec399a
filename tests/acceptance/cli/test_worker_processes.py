"""The command line as processes: a worker until SIGTERM, a slow pipe, a reader that goes away, a terminal."""

import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages.command_line import ROOT, UNSET, program, sagalog
from sagas.shop_demo import FinishedDemo

PATIENCE_SECONDS = 20.0
ORDER = {
    "customer": "Ada",
    "lines": [{"sku": "mug", "quantity": 1}],
    "total_cents": 1200,
    "card_token": "tok_visa",
    "destination": "Lisbon",
}


def order(number: int) -> str:
    return json.dumps(ORDER | {"order_id": f"o-{number}"}) + "\n"


def environment(folder: Path, **given: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    return kept | {"SAGALOG_DB": str(folder / "demo.db"), "SHOP_DB": str(folder / "demo-shop.db")} | given


@pytest.fixture
def worker(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    words = program("--app-dir", str(ROOT), "run", "--log-format", "json")
    with subprocess.Popen(words, env=environment(tmp_path), stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        yield process
        process.kill()


def test_a_worker_runs_what_others_start_and_ends_at_sigterm(tmp_path: Path, worker: "subprocess.Popen[str]") -> None:
    assert sagalog("start", "order-fulfilment", "--input", "-", given=order(1), shop=tmp_path).code == 0
    waited = sagalog("wait", "o-1", "--timeout", "20s", shop=tmp_path)
    assert (waited.code, waited.err) == (0, "")
    worker.send_signal(signal.SIGTERM)
    _, log = worker.communicate(timeout=PATIENCE_SECONDS)
    assert worker.returncode == 0
    records = [json.loads(line) for line in log.splitlines()]
    assert records[0]["message"].startswith("working on order-fulfilment version 1, ")
    assert ", participant inventory" in records[0]["message"]
    assert records[-1]["message"] == "stopped; what is unfinished waits for the next worker"
    completed = [record for record in records if record.get("transition") == "SagaCompleted"]
    assert [record["saga_key"] for record in completed] == ["o-1"]


def test_waiting_ends_when_the_time_is_over_and_the_saga_goes_on(tmp_path: Path) -> None:
    sagalog("start", "order-fulfilment", "--input", "-", given=order(1), shop=tmp_path)
    ran = sagalog("wait", "o-1", "--timeout", "50ms", shop=tmp_path)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: saga order-fulfilment o-1 is still started after 0.05 s, waiting for step")


def test_a_slow_pipe_starts_sagas_as_their_lines_come(tmp_path: Path) -> None:
    words = program("--app-dir", str(ROOT), "start", "order-fulfilment", "--input", "-")
    pipe = subprocess.PIPE
    with subprocess.Popen(words, env=environment(tmp_path), stdin=pipe, stdout=pipe, text=True) as starting:
        assert starting.stdin is not None
        starting.stdin.write(order(1))
        starting.stdin.flush()
        ends = time.monotonic() + PATIENCE_SECONDS
        # The pipe stays open: this only ends when the first saga is there before the end of the input.
        while sagalog("show", "o-1", shop=tmp_path).code != 0:
            assert time.monotonic() < ends, "the first line was not started while the pipe was open"
        out, _ = starting.communicate(order(2), timeout=PATIENCE_SECONDS)
    assert (starting.returncode, out) == (0, "2 started, 0 already there, 0 bad\n")


def test_a_reader_that_goes_away_is_no_error_to_shout_about(finished_demo: FinishedDemo) -> None:
    words = program("export", "--all")
    pipe = subprocess.PIPE
    with subprocess.Popen(words, env=environment(finished_demo.folder), stdout=pipe, stderr=pipe) as exporting:
        assert exporting.stdout is not None
        assert exporting.stderr is not None
        exporting.stdout.readline()
        exporting.stdout.close()
        assert b"Traceback" not in exporting.stderr.read()


def on_a_terminal(folder: Path, *words: str, typed: str = "", **given: str) -> str:
    """Run a command whose stdout and stderr are a terminal, and return what it wrote there."""
    ours, theirs = pty.openpty()
    settings = environment(folder, TERM="xterm-256color", COLUMNS="100", **given)
    with subprocess.Popen(program(*words), env=settings, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        os.write(ours, typed.encode())
        written = b""
        ends = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < ends:
            ready, _, _ = select.select([ours], [], [], 0.05)
            try:
                chunk = os.read(ours, 65_536) if ready else b""
            except OSError:
                break
            written += chunk
            if not ready and process.poll() is not None:
                break
        process.kill()
    os.close(ours)
    return written.decode()


GREEN = "\x1b[32m"


def test_a_terminal_gets_colours_unless_no_color_is_set(finished_demo: FinishedDemo) -> None:
    assert GREEN in on_a_terminal(finished_demo.folder, "show", "order-0001")
    plain = on_a_terminal(finished_demo.folder, "show", "order-0001", NO_COLOR="1")
    assert "order-0001" in plain
    assert GREEN not in plain


def test_an_error_is_coloured_on_a_terminal_unless_no_color_is_set(finished_demo: FinishedDemo) -> None:
    assert "\x1b[31m" in on_a_terminal(finished_demo.folder, "show", "nobody")
    assert "\x1b" not in on_a_terminal(finished_demo.folder, "show", "nobody", NO_COLOR="1")


def test_a_pipe_gets_no_colours(finished_demo: FinishedDemo) -> None:
    assert "\x1b" not in finished_demo.sagalog("list").out
    assert "\x1b" not in finished_demo.ran.out


def test_starting_shows_its_progress_on_a_terminal_only(tmp_path: Path) -> None:
    path = tmp_path / "orders.jsonl"
    path.write_text("".join(order(number) for number in range(200)), "utf-8")
    words = ["--app-dir", str(ROOT), "start", "order-fulfilment", "--input", str(path)]
    assert "Starting" in on_a_terminal(tmp_path, *words)
    assert sagalog(*words, "--db", str(tmp_path / "other.db")).err == ""


def test_a_person_steps_through_a_replay_and_may_stop(finished_demo: FinishedDemo) -> None:
    written = on_a_terminal(finished_demo.folder, "replay", "order-0001", "--step", typed="\n\nq\n", NO_COLOR="1")
    assert "StepSucceeded" in written
    assert written.count("Enter: next event") == 3
    assert "SagaCompleted" not in written
