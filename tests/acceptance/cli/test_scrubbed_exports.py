"""`sagalog export --scrub`: no value is left, and the history replays, compares and draws as the original does."""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel.exports import stored
from kernel.runs import RUNS
from kernel.walks import walked
from msgspec import Raw
from msgspec.structs import fields, replace
from pages.command_line import Ran, sagalog
from sagas.shop_demo import FinishedDemo

from sagalog.cli import scrubbing
from sagalog.cli.comparing import parting
from sagalog.cli.exporting import export_line, read_export
from sagalog.cli.pictures.run_chart import run_chart_of
from sagalog.cli.scrubbing import Scrubber
from sagalog.codec import encode_json
from sagalog.saga import events as e
from sagalog.saga.evolve import evolve
from sagalog.saga.state import SagaState

KEY = b"a key of this test"
# Found nowhere but in values.
SECRETS = (
    "Ada Lovelace",
    "ada@lovelace.example",
    "4242424242424242",
    "Zur Alten Mühle 7",
    "c0ffee00-0000-4000-8000-000000000001",
)


def secret_payload(seeded: random.Random) -> Raw:
    """Return a payload full of what nobody may see, also as keys of an object."""
    one, other = seeded.choice(SECRETS), seeded.choice(SECRETS)
    value = {"name": one, "of": [other, None, True, 77_123, -8.25], "by": {one: {other: one}}, "n": None, "flag": False}
    return Raw(encode_json(value))


def with_secrets(event: e.SagaEvent, seeded: random.Random) -> e.SagaEvent:
    """Return an event with secrets wherever a user's value may stand."""
    changes: dict[str, Any] = {}
    for field in fields(event):
        value = getattr(event, field.name)
        if isinstance(value, e.ErrorInfo):
            changes[field.name] = replace(value, message=f"{seeded.choice(SECRETS)} did not answer")
        elif field.name in ("actor", "reason", "why"):
            changes[field.name] = seeded.choice(SECRETS)
        elif field.name == "attributes" and seeded.random() < 0.5:
            changes[field.name] = {"customer": seeded.choice(SECRETS), "cents": 77_123, "vip": True, "gone": None}
        elif field.name == "attributes_error" and seeded.random() < 0.2:
            changes[field.name] = e.ErrorInfo("KeyError", f"no {seeded.choice(SECRETS)}", "fault")
        # The kernel's own notes are read by the kernel.
        elif isinstance(value, Raw) and value != e.EMPTY and field.name != "note" and not is_note(event):
            changes[field.name] = secret_payload(seeded)
    return replace(event, **changes)


def is_note(event: e.SagaEvent) -> bool:
    return getattr(event, "name", "").startswith("sagalog.")


def secretive(seed: int) -> list[e.SagaEvent]:
    seeded = random.Random(seed)
    return [with_secrets(event, seeded) for event in walked(seed).events]


def scrubbed(events: list[e.SagaEvent], scrubber: Scrubber | None = None) -> list[bytes]:
    return [export_line(one) for one in (scrubber or Scrubber(KEY)).scrubbed(stored(events))]


def states(events: list[e.SagaEvent]) -> Iterator[SagaState]:
    state: SagaState | None = None
    for event in events:
        state = evolve(state, event)
        yield state


def gist(state: SagaState) -> object:
    """Return what a state says of statuses, steps and times; not its values."""
    return (
        (state.status, state.version, state.updated, state.ended, state.plan, state.pending, state.actions),
        sorted(state.attributes),
        state.attributes_error is None,
        [
            (
                name,
                step.action.status,
                step.undo.status,
                step.action.attempts,
                step.undo.attempts,
                step.late,
                step.epoch,
            )
            for name, step in state.steps.items()
        ],
        [
            (side.began, side.ended, side.retry_at, side.waiting)
            for step in state.steps.values()
            for side in (step.action, step.undo)
        ],
        [(command.step, command.direction, command.status, command.sendings) for command in state.commands.values()],
        [(name, fan.begun, fan.open, fan.done, fan.undo) for name, fan in state.fans.items()],
        (len(state.received), [kept.name for kept in state.kept], state.undo_asked, state.kind),
    )


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_a_scrubbed_history_replays_compares_and_draws_as_the_original(seed: int) -> None:
    """Invariant 39: frame by frame the same statuses, steps, versions and times, and no value of the original."""
    events = secretive(seed)
    lines = scrubbed(events)
    (found,) = read_export(lines, "scrubbed").values()
    assert [gist(state) for state in states(found)] == [gist(state) for state in states(events)]
    assert parting(events, found) is None
    assert run_chart_of("id", found).rows == run_chart_of("id", events).rows
    text = b"".join(lines).decode()
    for secret in SECRETS:
        assert secret not in text
    assert re.search(r"\b77123\b|8\.25", text) is None


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_equal_values_stay_equal_and_different_ones_different_within_one_export(seed: int) -> None:
    scrubber = Scrubber(KEY)
    histories = [secretive(seed), secretive(seed + 1)]
    plain = [export_line(one) for events in histories for one in stored(events)]
    hidden = [line for events in histories for line in scrubbed(events, scrubber)]
    there: dict[str, Any] = {}
    back: dict[str, Any] = {}
    for before, after in zip(leaves(plain), leaves(hidden), strict=True):
        assert type(before) is type(after)
        assert there.setdefault(repr(before), after) == after
        assert back.setdefault(repr(after), before) == before
        assert (before == after) == (before is None or isinstance(before, bool) or before == "")


def leaves(lines: list[bytes]) -> Iterator[Any]:
    """Yield every value of the payloads and every id, in order."""
    for line in lines:
        data = json.loads(line)["data"]
        if not str(data.get("name", "")).startswith("sagalog."):
            for name in ("key", "message", "command_id", "input", "result", "data", "attributes"):
                yield from inside(data.get(name))


def inside(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        inner: Any = cast("Any", value)
        for one in inner.values() if isinstance(value, dict) else inner:
            yield from inside(one)
    else:
        yield value


@pytest.mark.parametrize("name", RUNS)
def test_every_kind_of_run_can_be_scrubbed(name: str) -> None:
    events = RUNS[name]
    (found,) = read_export(scrubbed(events), "scrubbed").values()
    assert [gist(state) for state in states(found)] == [gist(state) for state in states(events)]
    assert run_chart_of("id", found).rows == run_chart_of("id", events).rows


def test_what_a_saga_takes_over_from_another_one_is_scrubbed() -> None:
    secret = secret_payload(random.Random(1))
    adopted = (e.Adopted("reserve", secret), e.Adopted("lines", elements=(secret, secret)))
    start = next(iter(RUNS.values()))[0]
    assert isinstance(start, e.SagaStarted)
    (line,) = scrubbed([replace(start, fork=e.Fork(SECRETS[-1], "pay", adopted))])
    ((found,),) = read_export([line], "scrubbed").values()
    assert isinstance(found, e.SagaStarted)
    assert found.fork is not None
    assert [one.step for one in found.fork.adopted] == ["reserve", "lines"]
    assert [secret for secret in SECRETS if secret in line.decode()] == []


def test_every_field_of_every_event_is_known_to_the_scrubber() -> None:
    """A new field has to be put where it belongs; until then it is replaced."""
    groups = [getattr(scrubbing, name) for name in ("IDENTITIES", "TEXTS", "PAYLOADS", "ERRORS", "STAYING")]
    groups.append(scrubbing.OTHERS)
    every = {field.name for event in e.EVENTS for field in fields(event)}
    assert set().union(*groups) == every
    assert sum(map(len, groups)) == len(every)


def test_what_stays_is_no_text_of_a_user() -> None:
    """The kinds of the fields that stay are numbers, flags and names."""
    kinds = {field.name: field.type for event in e.EVENTS for field in fields(event)}
    assert not [name for name in scrubbing.STAYING if kinds[name] in (Raw, e.ErrorInfo)]


# ---------------------------------------------------------------------------------------------- as a command


@pytest.fixture
def failed(finished_demo: FinishedDemo) -> str:
    """The key of an order that was undone because the carrier did not answer."""
    ran = finished_demo.sagalog("list", "--error", "CarrierMute", "-o", "json")
    found: str = json.loads(ran.out)[0]["saga_key"]
    return found


def by_line(ran: Ran) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran.lines]


def test_all_of_the_demo_scrubbed_replays_to_the_same_statuses_and_holds_none_of_its_texts(
    finished_demo: FinishedDemo,
) -> None:
    plain, hidden = finished_demo.sagalog("export", "--all"), finished_demo.sagalog("export", "--all", "--scrub")
    one = read_export(plain.out.encode().splitlines(keepends=True), "plain")
    other = read_export(hidden.out.encode().splitlines(keepends=True), "scrubbed")
    assert [[gist(s) for s in states(events)] for events in other.values()] == [
        [gist(s) for s in states(events)] for events in one.values()
    ]
    originals = {text for line in by_line(plain) for text in texts(line["data"]) if len(text) > 3}
    originals |= {line["saga_id"] for line in by_line(plain)}
    stays = {"order-fulfilment", "order-fulfilment-choreographed"}
    assert len(originals) > 1_000
    assert [text for text in originals - stays if f'"{text}"' in hidden.out] == []


def texts(data: dict[str, Any]) -> Iterator[str]:
    """Yield every text of an event but the names that stay."""
    for name, value in data.items():
        if name in ("error", "cause"):
            yield value["message"]
        elif name in scrubbing.IDENTITIES | scrubbing.TEXTS | scrubbing.PAYLOADS:
            yield from (one for one in inside(value) if isinstance(one, str))


def test_a_scrubbed_saga_is_the_same_but_for_its_values(
    finished_demo: FinishedDemo, tmp_path: Path, failed: str
) -> None:
    path = tmp_path / "scrubbed.jsonl"
    path.write_text(finished_demo.sagalog("export", "--scrub", failed).out, "utf-8")
    ran = finished_demo.sagalog(
        "diff", "--with", str(path), failed, json.loads(path.read_text().splitlines()[0])["data"]["key"]
    )
    assert ran.lines[3] == "The histories are the same, event by event, ids and times aside."
    paths = {line.split()[0] for line in ran.lines[7:]}
    assert all(one.startswith(("input.", "attributes.")) or re.search(r"\.(result|message)\b", one) for one in paths)
    before = finished_demo.sagalog("graph", "--run", failed).lines
    after = sagalog("graph", "--from", str(path)).lines
    assert after[1:] == before[1:]


def test_each_export_has_stand_ins_of_its_own_unless_a_secret_is_given(
    finished_demo: FinishedDemo, tmp_path: Path
) -> None:
    salt = tmp_path / "salt"
    salt.write_text("0123456789abcdef0123456789abcdef\n", "utf-8")
    words = ("export", "order-0001", "--scrub")
    assert finished_demo.sagalog(*words).out != finished_demo.sagalog(*words).out
    salted = finished_demo.sagalog(*words, "--salt", str(salt))
    assert salted.code == 0
    assert finished_demo.sagalog(*words, "--salt", str(salt)) == salted


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--salt", "-"), "--salt goes with --scrub"),
        (("--scrub", "--salt", "-"), "--salt: expected at least 16 bytes that nobody can guess, found 5"),
        (("--scrub", "--salt", "not-there"), "not-there"),
    ],
)
def test_a_secret_that_is_none_is_refused(finished_demo: FinishedDemo, words: tuple[str, ...], text: str) -> None:
    ran = finished_demo.sagalog("export", "order-0001", *words, given="guess\n")
    assert (ran.code, ran.out) == (2, "")
    assert text in ran.err


def test_names_of_fields_stay_and_keys_that_are_data_do_not() -> None:
    start = RUNS["success"][0]
    assert isinstance(start, e.SagaStarted)
    value = {"name": "ada", "by_name": {"ada": 1, "Grace H.": 2, "a@b.cd": 3, "ok_1": 4}, "order": {"name": "b"}}
    (line,) = scrubbed([replace(start, input=Raw(encode_json(value)))])
    found = json.loads(line)["data"]["input"]
    assert found.keys() == value.keys()
    assert found["order"].keys() == {"name"}
    ada, grace, mail, other = found["by_name"]
    assert ada == found["name"]
    assert grace.startswith("text-")
    assert mail.endswith("@example.com")
    assert other == "ok_1"
