"""A saga as a picture: everything that was declared is on it, in Mermaid and in SVG."""

import xml.etree.ElementTree as ET

import msgspec
import pytest

from sagalog import Retry, Saga
from sagalog.cli.pictures.chart import Chart, StepBox, chart_of
from sagalog.cli.pictures.mermaid import mermaid
from sagalog.cli.pictures.svg import svg


class Trip(msgspec.Struct):
    trip_id: str
    is_long: bool = False


class Booking(msgspec.Struct):
    number: int


@pytest.fixture
def chart() -> Chart:
    saga = Saga("book-trip", input=Trip)

    @saga.step(compensation=None)
    def check_passport(trip: Trip) -> None: ...

    with saga.parallel():

        @saga.step
        def book_flight(trip: Trip) -> Booking:
            return Booking(1)

        @book_flight.compensate
        def cancel_flight(booking: Booking | None) -> None: ...

        @saga.step(retry=Retry(attempts=5), timeout=30)
        def book_room(trip: Trip) -> Booking:
            return Booking(2)

        @book_room.compensate
        def cancel_room(booking: Booking | None) -> None: ...

    @saga.step(when=lambda trip: trip.is_long)
    def order_insurance(trip: Trip) -> str:
        return "insured"

    @order_insurance.compensate
    def cancel_insurance(number: str | None) -> None: ...

    @saga.step(pivot=True, compensation=None)
    def charge(trip: Trip) -> int:
        return 1

    @saga.step(for_each=lambda trip: [1, 2], at_once=5)
    def send_ticket(seat: int, trip: Trip) -> None: ...

    return chart_of(saga.definition)


NAMES = (
    "check_passport", "book_flight", "book_room", "order_insurance", "charge", "send_ticket",
    "cancel_flight", "cancel_room", "cancel_insurance",
)  # fmt: skip


def test_a_chart_says_how_patient_each_step_is_and_why_one_is_not_undone(chart: Chart) -> None:
    boxes = {box.name: box for stage in chart.stages for box in stage}
    assert boxes["book_room"].detail == "5 attempts, 30 s each"
    assert boxes["book_room"].undo == "cancel_room"
    assert boxes["check_passport"].undo_detail == "nothing to undo"
    assert boxes["charge"].undo_detail == "once it is done nothing is undone"
    assert boxes["send_ticket"].undo_detail == "never undone, only retried"
    assert boxes["send_ticket"].repeated == "for each int, up to 5 at once"
    assert [len(stage) for stage in chart.stages] == [1, 2, 1, 1, 1]


def test_mermaid_shows_every_step_groups_pivot_and_condition(chart: Chart) -> None:
    text = mermaid(chart)
    assert all(name in text for name in NAMES)
    assert 'subgraph g2["side by side"]' in text
    assert 's4["order_insurance<br/>if its condition holds"]' in text
    assert 's5[["charge<br/>pivot"]]' in text
    assert 's6["send_ticket<br/>for each int, up to 5 at once"]' in text


def test_mermaid_draws_compensations_as_dashed_edges_back(chart: Chart) -> None:
    text = mermaid(chart)
    assert "s4 -. undo .-> us4" in text
    for edge in ("us4 -.-> us2", "us4 -.-> us3", "us2 -.-> failed", "us3 -.-> failed"):
        assert edge in text
    for edge in ("s1 --> s2", "s1 --> s3", "s2 --> s4", "s3 --> s4", "s6 --> done"):
        assert edge in text


def test_svg_is_well_formed_and_shows_every_step(chart: Chart) -> None:
    root = ET.fromstring(svg(chart))
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert set(NAMES) <= texts
    assert {"start: Trip", "completed", "failed", "side by side"} <= texts


def test_svg_draws_what_is_made_for_each_element_as_several_boxes(chart: Chart) -> None:
    root = ET.fromstring(svg(chart))
    boxes = [r for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.attrib["class"] in ("action", "pivot")]
    assert len(boxes) == 6 + 2
    assert any("for each int, up to 5 at once" in (text.text or "") for text in root.iter())


def test_svg_keeps_every_text_and_box_inside_the_picture(chart: Chart) -> None:
    root = ET.fromstring(svg(chart))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for rect in root.iter("{http://www.w3.org/2000/svg}rect"):
        x, y = float(rect.attrib["x"]), float(rect.attrib["y"])
        assert x >= 0
        assert y >= 0
        assert x + float(rect.attrib["width"]) <= width
        assert y + float(rect.attrib["height"]) <= height


def test_svg_brings_its_own_background_and_a_dark_one(chart: Chart) -> None:
    text = svg(chart)
    assert 'class="page"' in text
    assert "prefers-color-scheme: dark" in text


def test_names_with_markup_are_written_as_text() -> None:
    box = StepBox('a<b>&"c"', "1 attempt", conditional=False, pivot=False, undo="u<>", undo_detail="d&d")
    chart = Chart("t <x>", "In&put", [[box]])
    assert 'a<b>&"c"' in {element.text for element in ET.fromstring(svg(chart)).iter()}
    assert "#quot;c#quot;" in mermaid(chart)


def test_a_saga_without_any_compensation_can_be_drawn() -> None:
    box = StepBox("only", "1 attempt", conditional=False, pivot=False, undo=None, undo_detail="nothing to undo")
    chart = Chart("small", "None", [[box]])
    assert "s1 -.-> failed" in mermaid(chart)
    ET.fromstring(svg(chart))
