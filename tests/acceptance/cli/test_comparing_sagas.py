"""`sagalog diff`: two sagas, or two moments of one, from the database or from exported files."""

import json
from pathlib import Path
from typing import Any

import pytest
from kernel.exports import exported, walked_export
from kernel.stories import began, did, line
from kernel.walks import walked
from msgspec import Raw
from msgspec.structs import replace
from pages.command_line import Ran, sagalog
from sagas.shop_demo import FinishedDemo

from sagalog.cli.comparing import differences, parting
from sagalog.cli.differences import shown
from sagalog.codec import encode_json
from sagalog.saga import events as e
from sagalog.saga.evolve import fold
from sagalog.testing.kernel import given


def letters(key: str, *done: str) -> list[e.SagaEvent]:
    """Return the history of a saga of two letters, of which some are done."""
    saga = line("a", "b")
    story = given(saga, replace(began(saga), key=key, correlation_id=key))
    for step in done:
        story = given(saga, *story.events).when(did(step)).then(e.StepSucceeded, *[e.SagaCompleted] * (step == "b"))
    return story.events


def file_of(path: Path, **histories: list[e.SagaEvent]) -> Path:
    """Write an export of several sagas by their ids."""
    lines = [one for number, name in enumerate(histories) for one in exported(histories[name], name, 1 + 100 * number)]
    path.write_bytes(b"".join(lines))
    return path


@pytest.fixture
def failed(finished_demo: FinishedDemo) -> str:
    """The key of an order that was undone because the carrier did not answer."""
    ran = finished_demo.sagalog("list", "--error", "CarrierMute", "-o", "json")
    found: str = json.loads(ran.out)[0]["saga_key"]
    return found


def fields(ran: Ran) -> dict[str, tuple[Any, Any]]:
    return {one["path"]: (one["a"], one["b"]) for one in json.loads(ran.out)["differences"]}


def test_two_moments_of_a_saga_differ_in_what_happened_between_them(finished_demo: FinishedDemo) -> None:
    ran = finished_demo.sagalog("diff", "order-0001@2", "order-0001@5", "-o", "json")
    found = json.loads(ran.out)
    assert (ran.code, found["same"], found["a"]["version"], found["b"]["version"]) == (1, False, 2, 5)
    assert found["parts_at"]["version"] == 3
    assert found["parts_at"]["a"] is None
    assert found["parts_at"]["b"] == {"type": "StepSucceeded", "step": "process_payment", "summary": "process_payment"}
    differs = fields(ran)
    assert differs["status"] == ("pending", "completed")
    assert differs["steps.process_payment.action"] == (None, "succeeded")
    assert not [path for path in differs if path.endswith(("began", "ended", "updated", "version"))]


def test_a_moment_may_be_a_time(finished_demo: FinishedDemo) -> None:
    events = [json.loads(one) for one in finished_demo.sagalog("history", "order-0001", "-o", "jsonl").lines]
    by_time = finished_demo.sagalog("diff", f"order-0001@{events[1]['time']}", "order-0001", "-o", "json")
    assert by_time.out == finished_demo.sagalog("diff", "order-0001@2", "order-0001", "-o", "json").out


def test_two_sagas_differ_where_their_histories_part_and_in_their_fields(
    finished_demo: FinishedDemo, failed: str
) -> None:
    ran = finished_demo.sagalog("diff", failed, "order-0001")
    assert (ran.code, ran.err) == (1, "")
    assert ran.lines[0].startswith(f"A  order-fulfilment {failed}  failed  after 12 of 12 events, ")
    assert ran.lines[1].startswith("B  order-fulfilment order-0001  completed  after 5 of 5 events, ")
    assert ran.lines[3] == "The histories part at event 4:"
    assert ran.lines[4].startswith("  A  StepFailed  create_shipment, unknown: CarrierMute: ")
    assert ran.lines[5] == "  B  StepSucceeded  create_shipment"
    shown = [one.split()[0] for one in ran.lines[9:]]
    assert {"input.customer", "status", "steps.create_shipment.action", "error.type"} <= set(shown)
    rows = finished_demo.sagalog("diff", failed, "order-0001", "-o", "jsonl").lines
    assert [json.loads(one)["path"] for one in rows] == shown


def test_nothing_differs_between_a_saga_and_itself_and_the_exit_code_says_so(finished_demo: FinishedDemo) -> None:
    for output in ("table", "json", "jsonl", "csv"):
        ran = finished_demo.sagalog("diff", "order-0001", "order-0001", "--exact", "-o", output)
        assert ran.code == 0
    table = finished_demo.sagalog("diff", "order-0001", "order-0001@5")
    assert table.lines[-1] == "The histories are the same, event by event, ids and times aside."


def test_ids_and_times_are_left_aside_unless_they_are_asked_for(tmp_path: Path) -> None:
    later = [
        replace(
            event, time=event.time + 5, **({"began": event.began + 5} if isinstance(event, e.StepSucceeded) else {})
        )
        for event in letters("grace", "a", "b")
    ]
    path = file_of(tmp_path / "x.jsonl", one=letters("ada", "a", "b"), other=later)
    assert sagalog("diff", "ada", "grace", "--from", str(path)).code == 0
    exact = sagalog("diff", "ada", "grace", "--from", str(path), "--exact", "-o", "json")
    assert exact.code == 1
    assert fields(exact).keys() == {
        *("key", "correlation_id", "started", "updated", "ended", "deadline"),
        *(f"steps.{step}.{field}" for step in "ab" for field in ("began", "ended")),
    } - ({"deadline"} if "deadline" not in fields(exact) else set())


def test_both_may_be_in_files_or_one_in_the_database(finished_demo: FinishedDemo, tmp_path: Path, failed: str) -> None:
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    one.write_text(finished_demo.sagalog("export", failed).out, "utf-8")
    other.write_text(finished_demo.sagalog("export", "order-0001").out, "utf-8")
    expected = finished_demo.sagalog("diff", failed, "order-0001")
    assert sagalog("diff", failed, "order-0001", "--from", str(one), "--with", str(other)) == expected
    assert sagalog("diff", "--from", str(one), "--with", str(other)) == expected
    assert finished_demo.sagalog("diff", failed, "order-0001", "--with", str(other)) == expected
    assert finished_demo.sagalog("diff", failed, "--with", str(one)).code == 0
    piped = sagalog("diff", failed, failed, "--from", str(one), "--with", "-", given=one.read_text("utf-8"))
    assert piped.code == 0


KEYS = ["ada@2", "ada@example.org", "ada@", "@ada", "a@b@3", "ada@2026-01-01", "@", "@2"]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_with_an_at_sign_can_be_named_with_a_moment_and_without(tmp_path: Path, key: str) -> None:
    path = file_of(tmp_path / "x.jsonl", one=letters(key, "a", "b"), two=letters("ada", "a"))
    for name, version in ((f"{key}@", 4), (f"{key}@2", 2)):
        ran = sagalog("diff", name, "ada", "--from", str(path), "-o", "json")
        assert json.loads(ran.out)["a"] | {"time": ""} == {
            "saga_id": "one",
            "saga": "letters",
            "key": key,
            "status": "completed" if version == 4 else "pending",
            "version": version,
            "events": 4,
            "time": "",
        }


def test_what_is_no_moment_belongs_to_the_key(tmp_path: Path) -> None:
    path = file_of(tmp_path / "x.jsonl", one=letters("ada@example.org", "a"))
    assert sagalog("diff", "ada@example.org", "ada@example.org@2", "--from", str(path)).code == 0


def test_a_key_that_reads_like_a_moment_is_pointed_out(tmp_path: Path) -> None:
    path = file_of(tmp_path / "x.jsonl", one=letters("ada@2", "a"))
    ran = sagalog("diff", "ada@2", "one", "--from", str(path))
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == (f"error: {path} has no saga 'ada'; it has ada@2; the saga of the key ada@2 is named ada@2@\n")


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ((), 2, "name two sagas"),
        (("order-0001",), 2, "name two sagas"),
        (("order-0001", "nobody"), 3, "no saga has the id or key 'nobody'"),
        (("order-0001", "order-0001@9"), 3, "the saga has 5 events, there is no version 9"),
        (("order-0001@0", "order-0001"), 3, "there was no saga yet"),
        (("order-0001@2001-01-01", "order-0001"), 3, "there was no saga yet"),
        (("order-0001", "order-0002", "--with", "not-there"), 2, "not-there"),
        (("--from", "-", "--with", "-"), 2, "cannot both be stdin"),
    ],
)
def test_what_cannot_be_compared_is_told(
    finished_demo: FinishedDemo, words: tuple[str, ...], code: int, text: str
) -> None:
    ran = finished_demo.sagalog("diff", *words)
    assert (ran.code, ran.out) == (code, "")
    assert text in ran.err


def test_what_cannot_be_read_is_no_difference(tmp_path: Path) -> None:
    """The exit code 1 says that something differs, so a damaged file has another one."""
    good = file_of(tmp_path / "good.jsonl", one=letters("ada", "a"))
    for given_bytes in (b"nonsense\n", "{}".encode("utf-16"), exported(letters("ada", "a"))[1]):
        bad = tmp_path / "bad.jsonl"
        bad.write_bytes(given_bytes)
        for files in (("--from", str(bad), "--with", str(good)), ("--from", str(good), "--with", str(bad))):
            ran = sagalog("diff", "ada", *files)
            assert (ran.code, ran.out) == (2, "")
            assert str(bad) in ran.err


def test_commands_of_two_sagas_are_compared_by_their_steps(tmp_path: Path) -> None:
    """Their ids hold the saga's, and differ between any two."""
    seed = next(seed for seed in range(200) if any(isinstance(event, e.RequestSent) for event in walked(seed).events))
    events = walked(seed).events
    moved = [
        replace(event, command_id=event.command_id.replace("saga", "other"))
        if isinstance(event, e.RequestSent)
        else event
        for event in events
    ]
    assert parting(events, moved) is None
    assert differences(fold(events), fold(moved)) == []
    assert differences(fold(events), fold(moved), exact=True) != []


def test_values_are_compared_as_json_and_as_deep_inside_as_both_have_one_shape() -> None:
    start = letters("ada")[0]
    assert isinstance(start, e.SagaStarted)

    def found(one: object, other: object) -> list[tuple[str, Any, Any]]:
        states = [fold([replace(start, input=Raw(encode_json(value)))]) for value in (one, other)]
        return [(path, a, b) for path, a, b in differences(*states)]

    assert found({"a": [1, {"b": "x"}]}, {"a": [1, {"b": "y"}]}) == [("input.a[1].b", "x", "y")]
    assert found({"a": [1]}, {"a": [1, 2]}) == [("input.a", [1], [1, 2])]
    assert found({"a": True, "c": 1}, {"a": 1, "c": 1.0}) == [("input.a", True, 1), ("input.c", 1, 1.0)]
    assert found({"a": 1}, {"b": 1}) == [("input.a", 1, None), ("input.b", None, 1)]
    assert found([{"a": None}], [{"a": None}]) == []


def test_an_attribute_is_compared_whatever_it_is_called() -> None:
    """Its name is the user's, and may be that of a time or an id of the state."""
    start = letters("ada")[0]
    assert isinstance(start, e.SagaStarted)
    one, other = (fold([replace(start, attributes={"key": n, "started": n, "version": 1})]) for n in (1, 2))
    assert [path for path, _, _ in differences(one, other)] == ["attributes.key", "attributes.started"]
    assert shown("attributes.started", 1) == "1"


@pytest.mark.parametrize("seed", range(40))
def test_the_beginning_of_a_history_parts_where_it_ends(tmp_path: Path, seed: int) -> None:
    events = walked(seed).events
    path = tmp_path / "walk.jsonl"
    path.write_bytes(b"".join(walked_export(seed)))
    for version in {1, len(events) // 2 or 1, len(events)}:
        found = parting(events[:version], events)
        assert (found is None) == (version == len(events))
        assert found is None or (found.version, found.a, found.b) == (version + 1, None, events[version])
        ran = sagalog("diff", f"key@{version}", "key", "--from", str(path), "-o", "json")
        assert ran.code == (0 if version == len(events) else 1)
