"""A run in time: each attempt has a bar, forward and back, and what it means can be told without colours."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kernel.runs import CHILD, DAY, FOLLOWED, MENDED, ROLLED_BACK, RUNS, SIDE_BY_SIDE, STUCK, SUCCESS, WEEKS, done
from kernel.walks import walked
from msgspec.structs import replace
from rich.cells import cell_len

from sagalog.cli.pictures.run_chart import RunChart, run_chart_of
from sagalog.cli.pictures.run_svg import run_svg
from sagalog.cli.pictures.run_text import ASCII, UNICODE, run_text
from sagalog.cli.pictures.time_axis import TimeAxis
from sagalog.harmless import CONTROLS
from sagalog.saga import events as e
from sagalog.saga.evolve import fold

CUT = UNICODE.left_out * 2
SVG = "{http://www.w3.org/2000/svg}"


def chart(events: Sequence[e.SagaEvent]) -> RunChart:
    return run_chart_of("id", events)


def text(events: Sequence[e.SagaEvent], width: int = 80) -> list[str]:
    """Return the rows of a picture: without its title and its legend."""
    lines = [line.plain.rstrip() for line in run_text(chart(events), width)]
    return lines[3 : lines.index("", 3)]


def bars(found: RunChart) -> dict[str, list[tuple[str, str]]]:
    return {row.name: [(bar.kind, bar.ending) for bar in row.bars] for row in found.rows}


def test_a_success_goes_down_and_to_the_right() -> None:
    assert text(SUCCESS, 60) == [
        "        0 ms                200 ms          400 ms",
        "        ┬───────────────────┬────────────────────┬",
        "order   ─────────────────────────────────────────● completed",
        "reserve ██████████                                 succeeded",
        "pay               ████████████████████             succeeded",
        "ship                                  ███████████  succeeded",
    ]


def test_what_is_undone_comes_back_up_and_points_to_the_left() -> None:
    order, reserve, pay, ship = text(ROLLED_BACK)[2:]
    assert re.fullmatch(r"order   ─+╌+■ +failed", order)
    assert re.fullmatch(r"reserve █+ +◄▒+ +undone", reserve)
    assert re.fullmatch(r"pay +█+ +◄▒+ +undone", pay)
    assert re.fullmatch(r"ship +█+✗ +refused", ship)
    assert reserve.index("◄") > pay.index("◄") >= ship.index("✗")


def test_a_saga_that_needs_a_person_is_marked_until_the_person_came() -> None:
    order, _, pay = text(STUCK)[2:5]
    assert re.fullmatch(r"order   ─+╌+! stuck", order)
    assert re.fullmatch(r"pay +█+ +◄▒*\?·+◄▒+✗ +not undone 2x", pay)
    order, reserve, pay = text(MENDED)[2:5]
    # While it waits for the person nothing is drawn.
    assert re.fullmatch(r"order   ─+╌+! +↻╌+■ +failed", order)
    assert pay.endswith("undone 3x")
    assert pay.count("◄") == 3
    assert reserve.count("◄") == 1


def test_a_week_between_attempts_of_ten_milliseconds_is_left_out_and_marked() -> None:
    labels, ruler, nightly, prepare, call = text(WEEKS)
    assert labels.split("  ")[-1].strip() == "14 d 00 h"
    assert "7 d 00 h" in labels
    assert [row.count(CUT) for row in (ruler, nightly, call)] == [2, 2, 2]
    widths = [len(bar) for bar in re.findall("█+", call)]
    assert min(widths) >= 10
    # The character for how an attempt ended is one of its columns.
    assert max(widths) - min(widths) <= 2
    assert re.fullmatch(rf"call +█+\?·+{CUT}·*█+\?·+{CUT}·*█+ +succeeded 3x", call)
    assert len(re.findall("█", prepare)) >= 10
    legend = " ".join(line.plain for line in run_text(chart(WEEKS), 80)[-4:])
    assert f"{CUT} drawn shorter: 7 d 00 h, 7 d 00 h" in legend


def test_requests_waits_children_parts_and_events_have_rows_of_their_own() -> None:
    found = chart(SIDE_BY_SIDE)
    assert bars(found) == {
        "trip": [("forward", "open")],
        "flight": [("request", "done")],
        "hotel": [("child", "done")],
        "pack[0]": [("action", "done")],
        "pack[1]": [("action", "done")],
        "WeatherChanged": [],
        "insure": [],
        "visa": [("wait", "open")],
    }
    assert [(row.name, mark.kind) for row in found.rows for mark in row.marks] == [
        ("WeatherChanged", "event"),
        ("insure", "skipped"),
    ]
    rows = {line.split()[0]: line for line in text(SIDE_BY_SIDE)[2:]}
    assert "═" in rows["flight"]
    assert "▓" in rows["hotel"]
    assert "◆" in rows["WeatherChanged"]
    assert "○" in rows["insure"]
    # It still waits, and the axis goes on to where its time is over.
    assert "┄▷" in rows["visa"]
    assert text(SIDE_BY_SIDE)[0].endswith("100 ms")


def test_a_child_whose_history_is_there_is_drawn_below_its_step() -> None:
    found = run_chart_of("id", SIDE_BY_SIDE, lambda saga_id: CHILD if saga_id == "child" else ())
    names = [(row.depth, row.name) for row in found.rows]
    at = names.index((0, "hotel"))
    assert names[at + 1 : at + 4] == [(1, "stay"), (1, "choose"), (1, "book")]


def test_a_child_that_is_its_own_ancestor_is_drawn_once() -> None:
    circle = [e.ChildStarted(time=CHILD[0].time, step="book", saga="stay", child="child")]
    found = run_chart_of("id", SIDE_BY_SIDE, lambda _: [CHILD[0], *circle])
    assert len(found.rows) < 20


def test_a_choreography_shows_what_others_told_and_what_undid_it() -> None:
    found = chart(FOLLOWED)
    assert [(row.name, [mark.kind for mark in row.marks]) for row in found.rows] == [
        ("fulfilment", ["failed"]),
        ("OrderCreated", ["event"]),
        ("Reserved", ["event", "undone"]),
        ("PaymentFailed", ["event"]),
        ("Released", ["event"]),
    ]
    reserved = next(line for line in text(FOLLOWED) if line.startswith("Reserved"))
    assert re.fullmatch(r"Reserved +◆ +◄ +undone", reserved)


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("width", [1, 60, 80, 120, 300])
def test_no_line_is_wider_than_asked_for(name: str, width: int) -> None:
    for line in run_text(chart(RUNS[name]), width):
        assert cell_len(line.plain) <= max(width, 60)


@pytest.mark.parametrize("name", RUNS)
def test_a_terminal_without_unicode_gets_ascii_that_says_the_same(name: str) -> None:
    """Only the characters differ."""
    rich, plain = ([line.plain for line in run_text(chart(RUNS[name]), 80, glyphs)] for glyphs in (UNICODE, ASCII))
    assert all(line.isascii() for line in plain)
    # Row by row the same names and outcomes, and the same words below.
    assert [words_of(line) for line in plain] == [words_of(line) for line in rich]


def words_of(line: str) -> list[str]:
    """Return the words of a line, without what it is drawn with."""
    return [word for word in re.findall(r"[A-Za-z]{2,}", line) if word != "oo"]


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_no_two_meanings_have_the_same_character(glyphs: object) -> None:
    """What only colours tell apart, many people cannot."""
    assert glyphs in (UNICODE, ASCII)
    found = UNICODE if glyphs is UNICODE else ASCII
    shapes = [*found.bars.values(), *found.marks.values(), *(ending for ending in found.endings.values() if ending)]
    # An effect that was undone by an event points back as a compensation does.
    assert len(shapes) == len(set(shapes))
    assert found.left_out not in shapes


@pytest.mark.parametrize("name", RUNS)
def test_svg_is_well_formed_says_what_it_shows_and_keeps_all_of_it_inside(name: str) -> None:
    found = chart(RUNS[name])
    root = ET.fromstring(run_svg(found))
    title, desc = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert desc is not None
    assert root.attrib["aria-labelledby"] == f"{title.attrib['id']} {desc.attrib['id']}"
    assert found.state.status in str(title.text)
    assert all(row.outcome in str(desc.text) for row in found.rows[1:])
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for rect in [*root.iter(f"{SVG}rect")]:
        x, y = float(rect.attrib.get("x", 0)), float(rect.attrib.get("y", 0))
        assert 0 <= x <= x + float(rect.attrib["width"]) <= width
        assert 0 <= y <= y + float(rect.attrib["height"]) <= height
    for one in root.iter(f"{SVG}text"):
        assert 0 <= float(one.attrib["x"]) <= width
        assert 0 <= float(one.attrib["y"]) <= height


def test_svg_draws_what_goes_back_otherwise_than_by_its_colour() -> None:
    root = ET.fromstring(run_svg(chart(ROLLED_BACK)))
    back = [path for path in root.iter(f"{SVG}path") if path.attrib.get("class") == "back-bar"]
    assert len(back) == 2 + 1  # and one in the legend
    hatched = run_svg(chart(ROLLED_BACK))
    assert "url(#back)" in hatched
    assert "prefers-color-scheme: dark" in hatched
    assert 'class="page"' in hatched


def test_svg_marks_each_break_with_two_lines_and_what_it_leaves_out() -> None:
    drawn = run_svg(chart(WEEKS))
    assert drawn.count('class="zigzag"') == 4
    assert drawn.count(">7 d 00 h<") == 2 + 1  # both breaks, and the time of the second attempt


HOSTILE = "<script>alert('1')</script>\x1b[31m\u202e\r\n]]>&\"\x00"


def test_names_from_outside_are_harmless_in_both_pictures() -> None:
    start = SUCCESS[0]
    assert isinstance(start, e.SagaStarted)
    found = run_chart_of(HOSTILE, [replace(start, saga=HOSTILE, key=HOSTILE), done(HOSTILE, 0, 5)])
    for line in run_text(found, 80):
        assert CONTROLS.search(line.plain) is None
    drawn = run_svg(found)
    assert CONTROLS.search(drawn.replace("\n", "")) is None
    assert ET.fromstring(drawn).find(f".//{SVG}script") is None


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.sampled_from([60, 80, 132]))
# Ten breaks, whose lengths do not fit into one line.
@example(772635749, 60)
def test_whatever_happened_to_a_saga_can_be_drawn(seed: int, width: int) -> None:
    events = walked(seed).events
    found = run_chart_of("id", events)
    assert found.state == fold(events)
    attempts = sum(isinstance(event, ENDS_OF_ATTEMPTS) for event in events)
    drawn = [
        bar for row in found.rows for bar in row.bars if bar.kind in ("action", "undo", "request", "child", "wait")
    ]
    assert len(drawn) >= attempts
    assert all(bar.start <= bar.end for row in found.rows for bar in row.bars)
    assert all(cell_len(line.plain) <= width for line in run_text(found, width))
    ET.fromstring(run_svg(found))


ENDS_OF_ATTEMPTS = (e.StepSucceeded, e.StepFailed, e.StepCompensated, e.CompensationFailed)


@given(st.lists(st.integers(0, 2**60), min_size=1, max_size=60), st.floats(20, 800))
def test_an_axis_keeps_the_order_of_times_within_its_width(times: list[int], width: float) -> None:
    axis = TimeAxis(times, [], width, 4, 1)
    places = [axis.place(time) for time in sorted(set(times))]
    assert places == sorted(places)
    assert places[0] == 0
    assert places[-1] <= width + 1e-6
    if len(places) > 1:
        assert places[-1] == pytest.approx(width)
    assert len(list(axis.ticks(8))) < 10 * len(places) + 20


def test_an_axis_of_one_scale_has_no_break() -> None:
    assert TimeAxis([0, 10, 30, 70, 100], [10, 20, 40], 80, 4, 1).breaks == []
    week = 7 * DAY * 1_000
    assert [piece.start for piece in TimeAxis([0, 10, week, week + 10], [10, 10], 80, 4, 1).breaks] == [10]


def test_a_few_microseconds_between_two_events_are_no_scale() -> None:
    """Otherwise all that is longer than they would be left out."""
    assert TimeAxis([0, 3, 10_003, 10_008, 60_000], [10_000, 50_000], 80, 4, 1).breaks == []
