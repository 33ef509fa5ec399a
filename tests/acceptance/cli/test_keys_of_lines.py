"""What a saga's key function raises at a line of `sagalog start` is told of that line, and the others go on."""

import json
from pathlib import Path

import pytest
from pages.command_line import sagalog, write_app

APP = """
import asyncio
from contextlib import contextmanager
from sagas.greeting import Greeting as Name
from sagalog import Saga

class Ended(BaseException): pass

def key(given):
    match given.name:
        case "ended": raise Ended("all of it")
        case "exit": raise SystemExit(7)
        case "cancelled": raise asyncio.CancelledError("now")
        case "stop": raise StopIteration("here")
        case "async stop": raise StopAsyncIteration("there")
        case "closed": raise GeneratorExit
        case "group": raise BaseExceptionGroup("two", [Ended("one of two"), ValueError("other")])
        case "coroutine": return later()
        case "nothing": return None
        case "number": return 7
        case name: return name

async def later(): return "later"

saga = Saga("keyed", input=Name, key=key)

@saga.step(compensation=None)
def greet(given: Name) -> None: ...

sagas = [saga]

@contextmanager
def services():
    yield {}
"""

RAISED = {
    "ended": "the saga's key function raised Ended: all of it",
    "exit": "the saga's key function raised SystemExit: 7",
    "cancelled": "the saga's key function raised CancelledError: now",
    "stop": "the saga's key function raised StopIteration: here",
    "async stop": "the saga's key function raised StopAsyncIteration: there",
    "closed": "the saga's key function raised GeneratorExit",
    "group": "the saga's key function raised Ended: one of two (beside it: ValueError: other)",
    "coroutine": "the saga's key function raised TypeError: the saga's key function returned a coroutine, which nobody",
    "number": "the key of saga keyed: expected text, found int",
}


@pytest.mark.parametrize("waits", [(), ("--wait",)])
@pytest.mark.parametrize("name", RAISED)
def test_whatever_a_key_function_raises_is_told_of_its_line(tmp_path: Path, name: str, waits: tuple[str, ...]) -> None:
    app = write_app(tmp_path, "app_with_a_key_function", APP)
    lines = "\n".join(json.dumps({"name": one}) for one in ("ada", name, "bea"))
    ran = sagalog(
        "--app-dir", str(tmp_path), "--app", app, "--db", str(tmp_path / "a.db"),
        "start", "keyed", "--input", "-", *waits, given=lines,
    )  # fmt: skip
    assert ran.code == 1, ran
    assert ran.lines[0] == "2 started, 0 already there, 1 bad"
    assert ran.err.startswith(f"line 2: {RAISED[name]}")
    assert len(ran.err.splitlines()) == 1
