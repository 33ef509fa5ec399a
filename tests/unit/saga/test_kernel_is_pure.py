"""The kernel reads no clock, draws no number, opens nothing, and gives the same answer however often it is asked."""

import ast
import copy
import random
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from kernel.stories import line
from kernel.walks import Walk, walked

import sagalog.saga
from sagalog.codec import CODEC, encode_json
from sagalog.readmodel.rows import status_row, step_rows
from sagalog.saga.decide import decide
from sagalog.saga.evolve import evolve, fold
from sagalog.saga.react import react
from sagalog.saga.redecide import first_divergence
from sagalog.saga.state import SagaState


class Trapped(Exception):
    """Something read the world."""


@pytest.fixture
def trapped(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Let every look at the world raise."""

    def trap(*_: object, **__: object) -> object:
        raise Trapped

    with monkeypatch.context() as patched:
        for module, names in {
            time: ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "sleep"),
            random: ("random", "randrange", "getrandbits", "choice", "uniform"),
            socket: ("socket", "create_connection", "gethostname"),
            sqlite3: ("connect",),
        }.items():
            for name in names:
                patched.setattr(module, name, trap)
        patched.setattr("builtins.open", trap)
        yield patched


def copied(state: SagaState | None) -> SagaState | None:
    """Return a state that shares nothing with the given one."""
    return copy.deepcopy(state)


def test_every_pure_function_gives_the_same_answer_twice_and_looks_at_nothing(trapped: pytest.MonkeyPatch) -> None:
    """Invariants 37 and 38: also a replay reads no clock, draws no number and sends nothing."""
    for seed in range(60):
        walk = walked(seed)
        state: SagaState | None = None
        for event in walk.events:
            before = encode_json(state)
            one, two = evolve(state, event), evolve(copied(state), event)
            assert encode_json(one) == encode_json(two)
            assert encode_json(state) == before
            state = one
            assert react(walk.definition, state) == react(walk.definition, copied(state) or state)
            row = status_row(walk.definition, "id", state)
            assert row == status_row(walk.definition, "id", copied(state) or state)
            assert step_rows(walk.definition, "id", None, state) == step_rows(
                walk.definition, "id", None, copied(state) or state
            )
        assert encode_json(fold(walk.events)) == encode_json(fold(copy.deepcopy(walk.events)))
        assert first_divergence(walk.definition, walk.events) == first_divergence(walk.definition, walk.events)
    with pytest.raises(Trapped):
        time.time()


def test_deciding_twice_decides_the_same(trapped: pytest.MonkeyPatch) -> None:
    """Invariant 37."""
    for seed in range(60):
        walk = Walk(random.Random(seed))
        for _ in range(20):
            before, kept = walk.state, encode_json(walk.state)
            events = walk.step()
            told, now = walk.told[-1]
            if events:
                assert decide(walk.definition, copied(before), told, now) == events
                assert decide(walk.definition, before, told, now) == events
            assert encode_json(before) == kept


def test_the_modules_of_the_kernel_import_nothing_that_touches_the_world() -> None:
    """Invariant 37; import-linter says the same of what they import in turn."""
    import sagalog.saga.decide as kernel

    for name in ("asyncio", "random", "time", "socket", "sqlite3", "os", "logging"):
        assert not hasattr(kernel, name)


def test_the_cost_of_a_saga_grows_no_faster_than_its_length() -> None:
    """A saga ten times as long writes ten times as much."""

    def commits_and_bytes(steps: int) -> tuple[int, int]:
        saga = line(*(f"s{number}" for number in range(steps)))
        walk = Walk(random.Random(1), saga)
        walk.finish()
        stored = [CODEC.encode(event) for event in walk.events]
        return len(walk.events), sum(len(state) for _, state in stored)

    short_events, short_bytes = commits_and_bytes(10)
    long_events, long_bytes = commits_and_bytes(100)
    assert long_events <= 10 * short_events
    assert long_bytes <= 11 * short_bytes


def lines_run(steps: int) -> int:
    """Return how many lines of Python it takes to decide a saga from its start to its end."""
    walk = Walk(random.Random(1), line(*(f"s{number}" for number in range(steps))))
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        walk.finish(10_000)
    finally:
        sys.settrace(before)
    return count


def test_the_work_of_deciding_a_saga_grows_with_its_length_and_no_faster() -> None:
    """Counted in lines that are run, since the time of a busy machine proves nothing."""
    assert lines_run(100) < 4.2 * lines_run(25)


def test_no_module_of_the_kernel_asks_a_date_for_the_time() -> None:
    """`datetime` is imported for its values; import-linter keeps out every other clock."""
    modules = sorted(Path(str(sagalog.saga.__file__)).parent.rglob("*.py"))
    asked = [
        f"{module.name}: {ast.unparse(node)}"
        for module in modules
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("now", "today", "utcnow")
    ]
    assert len(modules) > 50
    assert asked == []
