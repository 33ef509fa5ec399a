"""What the command line says of actions in histories, and how they look in the picture of a run."""

import re
from collections.abc import Sequence
from typing import Any

from kernel.runs import STUCK, SUCCESS
from msgspec import Raw

from sagalog.cli.event_texts import summary
from sagalog.cli.expectations import expected
from sagalog.cli.pictures.run_chart import run_chart_of
from sagalog.cli.pictures.run_svg import run_svg
from sagalog.cli.pictures.run_text import ASCII, UNICODE, run_text
from sagalog.saga import events as e
from sagalog.saga.evolve import fold

HOUR = 3_600_000_000


def taken(verb: e.Verb, time: int = 0, **given: Any) -> e.ActionTaken:
    return e.ActionTaken(time=time, action_id=f"a-{time}", verb=verb, actor="ann", reason="a test", **given)


def refused(verb: e.Verb, time: int = 0, **given: Any) -> e.ActionRefused:
    return e.ActionRefused(
        time=time, action_id=f"r-{time}", verb=verb, actor="ann", reason="a test", why="it is late", **given
    )


def abandoned(time: int, *left: str) -> e.SagaAbandoned:
    error = e.error_from("abandoned", "Abandoned", "by ann: a test")
    return e.SagaAbandoned(time=time, actor="ann", reason="a test", error=error, left=left)


def test_a_line_of_a_history_says_what_a_person_did() -> None:
    assert summary(taken("pause")) == "pause, by ann: a test"
    assert summary(taken("skip", step="pay", waive=True)) == "skip pay, not undone later, by ann: a test"
    assert summary(taken("amend", step="pay", value=Raw(b"1"))) == "amend pay, by ann: a test"
    assert summary(taken("amend", value=Raw(b"1"))) == "amend the input, by ann: a test"
    undone = taken("resolve", step="pay", direction="compensation", happened=False)
    assert summary(undone) == "resolve the compensation of pay, it did not happen, by ann: a test"
    assert summary(taken("resolve", step="pay", happened=True)) == "resolve pay, it happened, by ann: a test"
    assert summary(taken("reschedule", step="pay", until=2 * HOUR)) == "reschedule pay, in 2 h 00 m, by ann: a test"
    assert summary(taken("reschedule", of_deadline=True, until=0)) == "reschedule the deadline, now, by ann: a test"
    assert summary(refused("cancel")) == "cancel, by ann: a test, refused, for it is late"
    assert summary(abandoned(1, "pay", "reserve")) == "by ann: a test; left as they are: pay, reserve"
    assert summary(abandoned(1)) == "by ann: a test; left as they are: no steps"


def rows(events: Sequence[e.SagaEvent]) -> dict[str, str]:
    """Return the rows of a picture by their first word, without its title and its legend."""
    lines = [line.plain.rstrip() for line in run_text(run_chart_of("id", events), 90)]
    return {line.split()[0]: line for line in lines[5 : lines.index("", 3)]}


def marks(events: Sequence[e.SagaEvent]) -> dict[str, list[str]]:
    return {row.name: [mark.kind for mark in row.marks] for row in run_chart_of("id", events).rows}


def test_what_a_person_did_stands_on_the_row_that_it_is_about() -> None:
    done = SUCCESS[-1].time
    events = [*SUCCESS[:-1], taken("pause", done), refused("skip", done + 1, step="pay"), taken("unpause", done + 2)]
    assert marks(events) == {"order": ["acted", "acted"], "reserve": [], "pay": ["declined"], "ship": []}


def test_what_is_about_a_step_that_has_not_begun_stands_on_the_row_of_the_saga() -> None:
    assert marks([*SUCCESS[:2], refused("skip", SUCCESS[1].time, step="ship")])["order"] == ["declined"]


def test_a_paused_saga_has_no_bar_of_its_own() -> None:
    second = SUCCESS[1].time
    paused = [*SUCCESS[:2], taken("pause", second + 1_000)]
    kinds = [bar.kind for bar in run_chart_of("id", paused).rows[0].bars]
    assert kinds == ["forward", "person"]
    cause = e.error_from("cancelled", "Cancelled", "by ann: a test")
    back = [*paused, e.CompensationStarted(time=second + 2_000, cause=cause, plan=("reserve",))]
    assert [bar.kind for bar in run_chart_of("id", back).rows[0].bars] == ["forward", "person"]
    on = [*back, taken("unpause", second + 3_000), e.StartRefused(time=second + 4_000, correlation_id="c")]
    assert [bar.kind for bar in run_chart_of("id", on).rows[0].bars] == ["forward", "person", "back"]


def test_what_a_paused_saga_waits_for_is_told() -> None:
    state = fold([*SUCCESS[:2], taken("pause", SUCCESS[1].time)])
    assert expected(state)[0].what == "somebody to unpause it, which ann has paused"


def test_an_abandoned_saga_ends_with_a_mark_and_says_what_it_leaves() -> None:
    last = STUCK[-1].time
    left = fold(STUCK).pending
    assert left
    events = [*STUCK, taken("abandon", last + 1), abandoned(last + 1, *left)]
    found = rows(events)
    order = next(iter(found.values()))
    assert re.search(rf"{UNICODE.marks['abandoned']} +abandoned$", order)
    assert all(found[name].endswith("left as it is") for name in left)
    svg = run_svg(run_chart_of("id", events))
    assert "abandoned: ended as it was" in svg
    assert "left as it is" in svg


def test_every_mark_has_a_shape_of_its_own() -> None:
    for glyphs in (UNICODE, ASCII):
        shapes = [*glyphs.marks.values(), *filter(None, glyphs.endings.values())]
        assert len(set(shapes)) == len(shapes)
