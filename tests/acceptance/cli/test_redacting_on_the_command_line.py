"""An app's `redact` is asked by every command that runs its code: what it takes out is not stored, logged or shown."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages.command_line import UNSET, program, sagalog, write_app

PATIENCE_SECONDS = 20
CARD = "4242424242424242"
APP = f"""
import re
from contextlib import contextmanager
from dataclasses import dataclass
from sagalog import Retry, Saga

@dataclass
class Order:
    order_id: str

def key_of(order: Order) -> str:
    if order.order_id == "unheard-of":
        raise LookupError("no order has card {CARD}")
    return order.order_id

charging = Saga("charging", input=Order, key=key_of)

@charging.step(retry=Retry(attempts=1), compensation=None)
async def charge(order: Order) -> None:
    raise KeyError("no customer has card {CARD}")

sagas = [charging]

@contextmanager
def services():
    yield {{}}

def redact(text: str) -> str:
    return re.sub(r"[0-9]{{12,19}}", "(card)", text)
"""
ONE = json.dumps({"order_id": "o-1"})
STARTS = ("start", "charging", "--input", "-")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    write_app(tmp_path, "redacting_app", APP)
    return tmp_path


def words(app: Path, *command: str) -> tuple[str, ...]:
    return ("--db", str(app / "shop.db"), "--app-dir", str(app), "--app", "redacting_app", *command)


def kept_in(folder: Path) -> str:
    """Return all that the files of the database hold, as text."""
    return "".join(path.read_bytes().decode("latin-1") for path in folder.glob("shop.db*"))


def started(app: Path, given: str, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        program(*words(app, *STARTS, *command)),
        input=given, capture_output=True, text=True, timeout=PATIENCE_SECONDS, env=environment(), check=False,
    )  # fmt: skip


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in UNSET}


def test_what_start_runs_and_waits_for_is_redacted(app: Path) -> None:
    ran = started(app, ONE, "--wait")
    assert (ran.returncode, CARD in ran.stdout + ran.stderr) == (10, False), ran
    text = kept_in(app)
    assert "no customer has card (card)" in text
    assert CARD not in text


def test_a_line_whose_key_function_raises_is_told_redacted(app: Path) -> None:
    ran = started(app, json.dumps({"order_id": "unheard-of"}))
    assert ran.returncode == 1
    assert "line 1: the saga's key function raised LookupError: no order has card (card)" in ran.stderr
    assert CARD not in ran.stdout + ran.stderr


@pytest.fixture
def worker(app: Path) -> Iterator["subprocess.Popen[str]"]:
    command = program(*words(app, "run"))
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_what_a_worker_stores_and_logs_is_redacted(app: Path, worker: "subprocess.Popen[str]") -> None:
    assert started(app, ONE).returncode == 0
    assert sagalog(*words(app, "wait", "o-1", "--timeout", "20s")).code == 10
    worker.send_signal(signal.SIGTERM)
    _, log = worker.communicate(timeout=PATIENCE_SECONDS)
    assert "no customer has card (card)" in log
    assert "Traceback" in log
    text = kept_in(app)
    assert "no customer has card (card)" in text
    assert CARD not in text + log


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("'card'", "redact takes a function of a text, found 'card'"),
        ("lambda: ''", "redact takes a function of a text alone, found one of ()"),
    ],
    ids=["text", "nothing"],
)
def test_what_cannot_redact_is_refused_before_anything_is_started(
    tmp_path: Path, request: pytest.FixtureRequest, source: str, text: str
) -> None:
    name = write_app(tmp_path, f"unable_app_{abs(hash(request.node.name))}", f"{APP}\nredact = {source}\n")
    ran = sagalog("--db", str(tmp_path / "shop.db"), "--app-dir", str(tmp_path), "--app", name, *STARTS, given=ONE)
    assert (ran.code, ran.out) == (1, "")
    assert text in ran.err
    assert list(tmp_path.glob("shop.db*")) == []


RAISED = f'raise RuntimeError("card {CARD}")'
# What an app may raise outside of any handler: where, and the source that is put behind the rest of the app.
RAISED_OUTSIDE = {
    "services": f"""
def services():
    {RAISED}
""",
    "services, entered": f"""
@contextmanager
def services():
    {RAISED}
    yield {{}}
""",
    "services, left": f"""
@contextmanager
def services():
    yield {{}}
    {RAISED}
""",
    "services, of a class": f"""
class services:
    def __enter__(self): return {{}}
    def __exit__(self, *_): {RAISED}
""",
    "services, an exit": f"""
@contextmanager
def services():
    raise SystemExit("card {CARD}")
    yield {{}}
""",
    "services, an error of ours": f"""
from sagalog.errors import SagalogError
def services():
    raise SagalogError("card {CARD}")
""",
    "services, of the system": f"""
def services():
    raise PermissionError(13, "no", "card {CARD}")
""",
    "services, another type": f"""
@contextmanager
def services():
    yield ["card {CARD}"]
""",
    "follow": f"""
def follow(manager):
    {RAISED}
""",
    "transports": f"""
def transports():
    {RAISED}
""",
    "transports, another type": f"""
def transports():
    return ["card {CARD}"]
""",
    "sagas, another type": f"""
sagas = ["card {CARD}"]
""",
    "its import": RAISED,
    "an exit at its import": f'raise SystemExit("card {CARD}")',
    "a module that is missing": f'import sys; raise ModuleNotFoundError("card {CARD}")',
}


@pytest.mark.parametrize("debug", [(), ("--debug",)], ids=["", "debug"])
@pytest.mark.parametrize("where", RAISED_OUTSIDE)
@pytest.mark.parametrize("command", [(*STARTS, "--wait"), ("run",), ("check",)], ids=["start", "run", "check"])
def test_whatever_an_app_raises_is_told_redacted(
    tmp_path: Path, where: str, command: tuple[str, ...], debug: tuple[str, ...]
) -> None:
    if command == ("run",) and where in ("services, left", "services, of a class"):
        pytest.skip("a worker comes to the end of its services at a signal; `start` shows the same")
    name = f"raising_app_{abs(hash((where, command, debug)))}"
    write_app(tmp_path, name, f"{APP}\n{RAISED_OUTSIDE[where]}\n")
    ran = sagalog(*debug, *words(tmp_path, *command), "--app", name)
    assert (ran.code, CARD in ran.out + ran.err) == (1, False), ran
    assert "(card)" in ran.out + ran.err
    if not debug:
        assert len(ran.err.splitlines()) <= 2, ran


@pytest.mark.parametrize("debug", [(), ("--debug",)], ids=["", "debug"])
def test_what_a_demo_raises_is_told_redacted(tmp_path: Path, debug: tuple[str, ...]) -> None:
    for number, source in enumerate(
        (f"def demo(database): {RAISED}", f'def demo(database): return "card {CARD}"',
         f"def demo(database): return {{}}, (1 / 0 if one else one for one in [{{}}['card {CARD}']])")
    ):  # fmt: skip
        name = write_app(tmp_path, f"demonstrating_app_{len(debug)}_{number}", f"{APP}\n{source}\n")
        ran = sagalog(*debug, "--db", str(tmp_path / "shop.db"), "--app-dir", str(tmp_path), "--app", name, "demo")
        assert (ran.code, CARD in ran.out + ran.err) == (1, False), ran


def test_what_is_our_own_is_told_whatever_redacts(tmp_path: Path) -> None:
    """Which saga there is not is no secret of the app's, and whoever mistyped it has to see it."""
    name = write_app(tmp_path, "silencing_app", f"{APP}\ndef redact(text): return ''\n")
    ran = sagalog("--app-dir", str(tmp_path), "--app", name, "graph", "nope")
    assert (ran.code, "no saga or choreography is called 'nope'" in ran.err) == (3, True)
