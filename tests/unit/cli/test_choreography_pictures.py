"""A choreography as a picture: everything that its contract says is on it, in Mermaid and in SVG."""

import xml.etree.ElementTree as ET

from sagas.fulfilling import EVENTS, fulfilment

from sagalog.cli.pictures.event_chart import EventBox, EventChart, event_chart_of, event_mermaid, event_svg

CHART = event_chart_of(fulfilment().definition)
SVG = "{http://www.w3.org/2000/svg}"


def test_a_chart_says_what_each_event_says_of_the_process() -> None:
    details = {box.name: (box.kind, box.detail) for box in CHART.boxes}
    assert details["OrderCreated"] == ("start", "starts it")
    assert details["InventoryReserved"] == ("action", "undone by InventoryReleased")
    assert details["InventoryReleased"] == ("undo", "undoes InventoryReserved, fails it")
    assert details["ShipmentCreated"] == ("completed", "completes it")
    assert details["PaymentFailed"] == ("failed", "")
    assert details["RefundFailed"] == ("pivot", "a person has to act")
    assert details["RefundRequested"] == ("failed", "from somebody outside")


def test_an_event_stands_below_those_that_lead_to_it() -> None:
    layers = {box.name: box.layer for box in CHART.boxes}
    back = [(one, other) for one, other, _ in CHART.leads if layers[other] <= layers[one]]
    assert back == [("RefundRequested", "RefundFailed")]


def test_mermaid_shows_every_event_who_publishes_it_and_what_it_undoes() -> None:
    text = event_mermaid(CHART)
    for name in EVENTS:
        assert f'"{name}' in text
    ids = {
        line.split('"')[1].split("<")[0]: line.split("[")[0].split("(")[0].strip() for line in text.splitlines()[2:13]
    }
    assert f'{ids["OrderCreated"]} -- "inventory.reserve" --> {ids["InventoryReserved"]}' in text
    assert f'{ids["RefundFailed"]} -- "somebody outside" --> {ids["RefundRequested"]}' in text
    assert f"{ids['PaymentRefunded']} -. undoes .-> {ids['PaymentProcessed']}" in text


def test_svg_is_well_formed_shows_every_event_and_keeps_it_inside_the_picture() -> None:
    root = ET.fromstring(event_svg(CHART))
    assert set(EVENTS) <= {element.text for element in root.iter(f"{SVG}text")}
    assert len(list(root.iter(f"{SVG}path"))) == 2 * len(CHART.leads)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for rect in root.iter(f"{SVG}rect"):
        assert float(rect.attrib["x"]) >= 0
        assert float(rect.attrib["x"]) + float(rect.attrib["width"]) <= width
        assert float(rect.attrib["y"]) + float(rect.attrib["height"]) <= height


def test_no_line_runs_behind_a_box_that_it_is_not_about() -> None:
    root = ET.fromstring(event_svg(CHART))
    boxes = [
        (float(r.attrib["x"]), float(r.attrib["y"]), float(r.attrib["width"]), float(r.attrib["height"]))
        for r in root.iter(f"{SVG}rect")
        if r.attrib["class"] != "page"
    ]
    far = [path.attrib["d"] for path in root.iter(f"{SVG}path") if "H" in path.attrib["d"]]
    assert len(far) == 3
    for path in far:
        _, first, lane, *_ = path.replace("V", " V").replace("H", " H").split()[1:]
        level, along = float(first[1:]), float(lane[1:])
        assert all(not y < level < y + height for _, y, _, height in boxes)
        assert all(x + width < along for x, _, width, _ in boxes)


def test_a_bus_that_is_only_observed_is_drawn_without_lines() -> None:
    chart = event_chart_of(fulfilment(observed=True).definition)
    assert chart.leads == [("RefundFailed", "RefundRequested", "somebody outside")]
    assert ET.fromstring(event_svg(chart)) is not None


def test_names_with_markup_are_written_as_text() -> None:
    box = EventBox('a<b>&"c"', "action", "d&d", 0)
    chart = EventChart("t <x>", [box], [], [])
    texts = [element.text for element in ET.fromstring(event_svg(chart)).iter(f"{SVG}text")]
    assert texts == ["t <x>", 'a<b>&"c"', "d&d"]
    assert "#quot;c#quot;" in event_mermaid(chart)
