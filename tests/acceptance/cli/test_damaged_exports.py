"""An exported file that is not whole: one error with the file, the line and what to do; never a traceback."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel.exports import Lines, damaged, exported, walked_export
from kernel.stories import began, did, line
from msgspec.structs import replace
from pages.command_line import Ran, sagalog

from sagalog.harmless import CONTROLS
from sagalog.saga import events as e
from sagalog.testing.kernel import given as given_events

COMMANDS = (
    ("replay", "key"),
    ("replay", "key", "--at", "2"),
    ("replay", "key", "-o", "jsonl"),
    ("replay", "key", "--step"),
    ("diff", "key@1", "key"),
    ("diff", "key@1", "key", "--exact", "-o", "json"),
    ("graph", "--run", "key"),
    ("graph", "--run", "key", "--format", "svg"),
)
AGAIN = "the file is damaged; export it again"


def history(key: str = "key") -> list[e.SagaEvent]:
    saga = line("a", "b")
    start = began(saga)
    story = given_events(saga, start).when(did("a")).then(e.StepSucceeded)
    return story.when(did("b")).then(e.StepSucceeded, e.SagaCompleted).events


def whole() -> Lines:
    """Return four events of one saga, line by line."""
    return exported(history())


def another() -> Lines:
    return exported(history(), "other", 100)


def changed(at: int, **values: Any) -> Lines:
    """Return the export with other values in a line."""
    lines = whole()
    lines[at] = json.dumps(json.loads(lines[at]) | values).encode() + b"\n"
    return lines


def with_line(at: int, text: bytes) -> Lines:
    lines = whole()
    lines[at] = text
    return lines


def run(folder: Path, lines: Lines, words: tuple[str, ...]) -> Ran:
    path = folder / "export.jsonl"
    path.write_bytes(b"".join(lines))
    return sagalog(*words, "--from", str(path))


@pytest.mark.parametrize(
    ("damage", "place", "found", "advice"),
    [
        (lambda: with_line(1, whole()[1][:40]), "line 2", "expected an event of `sagalog export`", AGAIN),
        (lambda: [*whole()[:2], whole()[2][:-20]], "line 3", "expected an event of `sagalog export`", AGAIN),
        (lambda: with_line(3, b"nonsense\n"), "line 4", "expected an event of `sagalog export`", AGAIN),
        (lambda: with_line(1, b"[" * 100_000), "line 2", "expected an event of `sagalog export`", AGAIN),
        (lambda: with_line(1, b'{"a": 1}\n'), "line 2", "missing required field `position`", AGAIN),
        (lambda: changed(2, topic="os.system"), "line 3", "found 'os.system'", "a newer sagalog wrote it"),
        (lambda: changed(2, data={"time": "noon"}), "line 3", "expected the JSON of sagalog.StepSucceeded.1", AGAIN),
        (lambda: changed(2, data=None), "line 3", "expected the JSON of sagalog.StepSucceeded.1", AGAIN),
        (lambda: [*whole()[:1], *whole()[2:]], "line 2", "expected version 2 of saga saga, found 3", "not complete"),
        (lambda: whole()[1:], "line 1", "expected version 1 of saga saga, found 2", "not complete"),
        (lambda: [*whole()[:2], *whole()[1:]], "line 3", "expected version 3 of saga saga, found 2", "twice"),
        (lambda: [*whole(), *whole()], "line 5", "expected version 5 of saga saga, found 1", "twice"),
        (lambda: changed(2, position=1), "line 3", "expected a position above 2", AGAIN),
        (lambda: [*whole()[:2], another()[2], whole()[3]], "line 3", "version 1 of saga other, found 3", "complete"),
        (lambda: changed(1, topic="sagalog.SagaStarted.1", data=start()), "line 2", "found SagaStarted", AGAIN),
        (lambda: changed(0, topic="sagalog.SagaCompleted.1", data={"time": 1}), "line 1", "no saga yet", AGAIN),
        (lambda: with_line(2, whole()[2].replace(b'"b"', b'"\xff"')), "line 3", "expected UTF-8", "save it as UTF-8"),
        (lambda: with_line(2, whole()[2].replace(b'"b"', b'"\\ud800"')), "line 3", "expected an event", AGAIN),
        (lambda: [b"\x00\x01\x02" * 100], "line 1", "expected an event of `sagalog export`", AGAIN),
    ],
)
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_what_is_wrong_in_an_export_is_told_with_its_place_and_what_to_do(
    tmp_path: Path, damage: Callable[[], Lines], place: str, found: str, advice: str, words: tuple[str, ...]
) -> None:
    """Invariant 40: a malformed history is refused, and nothing is shown of it."""
    ran = run(tmp_path, damage(), words)
    assert ran.code == (2 if words[0] == "diff" else 1)
    assert ran.out == ""
    assert ran.err.startswith(f"error: {tmp_path / 'export.jsonl'} {place}: ")
    assert found in ran.err
    assert advice in ran.err
    assert ran.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [tmp_path / "export.jsonl"]


def start() -> Any:
    return json.loads(whole()[0])["data"]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("lines", [[], [b"\n", b"  \r\n"], [b"\xef\xbb\xbf"]])
def test_an_empty_export_has_no_saga(tmp_path: Path, lines: Lines, words: tuple[str, ...]) -> None:
    ran = run(tmp_path, lines, words)
    error = f"error: {tmp_path / 'export.jsonl'} is empty: expected what `sagalog export` writes; export it again\n"
    assert (ran.code, ran.out, ran.err) == (3, "", error)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_lines_of_two_sagas_may_alternate(tmp_path: Path, words: tuple[str, ...]) -> None:
    """A file that was sorted by position is whole: each line says whose it is."""
    alone = run(tmp_path, whole(), words)
    others = exported([replaced(event) for event in history()], "other", 100)
    mixed = [one for both in zip(others, whole(), strict=True) for one in both]
    assert run(tmp_path, mixed, words) == alone


def replaced(event: e.SagaEvent) -> e.SagaEvent:
    """Return the event for another saga than `key`."""
    return replace(event, key="elsewhere") if isinstance(event, e.SagaStarted) else event


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), number=st.integers(1, 3), words=st.sampled_from(COMMANDS))
def test_whatever_happens_to_an_export_it_is_shown_or_refused_in_a_line(
    tmp_path: Path, seed: int, number: int, words: tuple[str, ...]
) -> None:
    """Invariant 40."""
    seeded = random.Random(seed)
    lines = walked_export(seed % 400)
    for _ in range(number):
        lines = damaged(seeded, lines)
    ran = run(tmp_path, lines, words)
    assert "Traceback" not in ran.err
    assert "--debug shows where" not in ran.err
    assert CONTROLS.search((ran.out + ran.err).replace("\n", "")) is None
    assert list(tmp_path.iterdir()) == [tmp_path / "export.jsonl"]
    if ran.err:
        last = ran.err.splitlines()[-1]
        assert ran.out == ""
        assert ran.code in (1, 2, 3)
        assert re.match(r"(error: )?.*(export\.jsonl|there was no saga yet|there is no version)", last), last
        assert len(last) < 2_300
