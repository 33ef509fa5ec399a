"""A replay shows what each event changed without looking at all that it left as it was, and holds few states."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel.walks import walked
from msgspec import Raw

from sagalog.cli import differences
from sagalog.cli.differences import EVIDENT, EVIDENT_OF_PARTS, Change, changes, flat
from sagalog.cli.frames import MOST_HELD, Replayed
from sagalog.saga import events as e
from sagalog.saga.evolve import evolve
from sagalog.saga.identifiers import part_name
from sagalog.saga.state import SagaState


def naive(before: SagaState | None, after: SagaState) -> list[Change]:
    """Compare two whole states."""
    old, new = flat(before), flat(after)
    return [
        Change(path, old.get(path), new.get(path))
        for path in (*new, *(path for path in old if path not in new))
        if old.get(path) != new.get(path) and path not in EVIDENT and not EVIDENT_OF_PARTS.fullmatch(path)
    ]


def begun() -> e.SagaStarted:
    return e.SagaStarted(
        time=1,
        saga="long",
        version=1,
        digest="d",
        input=Raw(b'{"a":1}'),
        key="k",
        correlation_id="c",
        attributes={"n": 1},
    )


def steps(number: int) -> list[e.SagaEvent]:
    done = [
        e.StepSucceeded(time=2, step=f"s{n}", began=1, result=Raw(b"1"), attributes={"n": n}) for n in range(number)
    ]
    plan = tuple(f"s{n}" for n in range(number))
    return [begun(), *done, e.CompensationStarted(time=3, cause=e.ErrorInfo("No", "no"), plan=plan)]


def parts(number: int) -> list[e.SagaEvent]:
    elements = tuple(Raw(b"%d" % n) for n in range(number))
    done = [e.StepSucceeded(time=2, step=part_name("each", n), began=1, result=Raw(b"1")) for n in range(number)]
    return [begun(), e.StepFannedOut(time=1, step="each", elements=elements, at_once=5), *done]


def commands(number: int) -> list[e.SagaEvent]:
    found: list[e.SagaEvent] = [begun()]
    for n in range(number):
        found += [
            e.RequestSent(
                time=2, step=f"s{n}", direction="action", command_id=f"c{n}", name="Pay", data=Raw(b"1"), until=9
            ),
            e.StepSucceeded(time=3, step=f"s{n}", began=2, result=Raw(b"2"), message=f"m{n}"),
        ]
    return found


HISTORIES = [steps, parts, commands]


def compared(events: Sequence[e.SagaEvent]) -> None:
    state: SagaState | None = None
    for event, frame in zip(events, Replayed(events), strict=True):
        after = evolve(state, event)
        assert frame == (event, after, naive(state, after))
        state = after


@given(st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_what_an_event_changed_is_what_differs_between_the_whole_states(seed: int) -> None:
    compared(walked(seed).events)


@pytest.mark.parametrize("history", HISTORIES)
def test_so_it_is_for_steps_with_elements_for_commands_and_for_a_plan(history: Callable[[int], list[Any]]) -> None:
    compared(history(40))


def test_an_attribute_that_is_taken_away_is_a_change() -> None:
    gone = e.StepSucceeded(time=2, step="s", began=1, result=Raw(b"1"), attributes={"n": None})
    compared([begun(), gone])
    before = evolve(None, begun())
    assert Change("attributes.n", 1, None) in changes(before, evolve(before, gone))


@pytest.mark.parametrize("history", HISTORIES)
def test_an_event_of_a_long_history_costs_no_more_to_be_compared(
    history: Callable[[int], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in values that are compared. The ids of messages that were taken are left aside: all are shown."""
    compared_values: list[int] = []

    def counted(state: SagaState | None) -> dict[str, Any]:
        found = flat(state)
        lists: list[list[Any]] = [one for path, one in found.items() if path != "received" and isinstance(one, list)]
        compared_values.append(len(found) + sum(map(len, lists)))
        return found

    monkeypatch.setattr(differences, "flat", counted)
    most: list[int] = []
    for number in (20, 200):
        replayed = Replayed([one for one in history(number) if not isinstance(one, e.CompensationStarted)])
        compared_values.clear()
        assert replayed[-1].changed
        most.append(max(compared_values))
    assert most[1] == most[0]


@pytest.mark.parametrize("number", [1, 3, MOST_HELD - 1, MOST_HELD, MOST_HELD + 1, 5 * MOST_HELD + 7])
def test_a_frame_is_the_same_whichever_way_it_is_come_to(number: int) -> None:
    events = steps(number)
    replayed = Replayed(events)
    expected = list(replayed)
    assert len(replayed) == len(expected) == len(events)
    numbers = [*range(len(events)), *random.Random(0).choices(range(len(events)), k=20), -1]
    assert [replayed[one] for one in numbers] == [expected[one] for one in numbers]
    assert replayed[-1:] == expected[-1:]
    with pytest.raises(IndexError):
        replayed[len(events)]


def test_few_states_of_a_long_history_are_held_and_few_events_are_applied_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replayed = Replayed(steps(20 * MOST_HELD))
    held: list[Any] = replayed._held
    assert len(held) <= MOST_HELD
    applied: list[int] = []

    def counted(state: SagaState | None, event: e.SagaEvent) -> SagaState:
        applied.append(1)
        return evolve(state, event)

    monkeypatch.setattr("sagalog.cli.frames.evolve", counted)
    assert replayed[20 * MOST_HELD - 1].state.version == 20 * MOST_HELD
    assert len(applied) <= 22
