"""A choreography's contract as a picture: which event leads to which, what undoes what, and the ends; pure text."""

from typing import Final, NamedTuple

from sagalog.cli.pictures.mermaid import quoted
from sagalog.cli.pictures.svg import DETAIL_CHARACTER, MARGIN, NAME_CHARACTER, STYLE, label
from sagalog.harmless import harmless
from sagalog.saga.choreography.contract import Contract
from sagalog.saga.choreography.definition import ChoreographyDefinition

BOX_HEIGHT: Final = 50
BETWEEN_LAYERS: Final = 46
BETWEEN_BOXES: Final = 26
BETWEEN_LANES: Final = 14
TITLE_HEIGHT: Final = 40

Point = tuple[float, float]

OUTSIDE: Final = "somebody outside"


class EventBox(NamedTuple):
    """One event: its meaning for the process, its publishers, and its layer from the top."""

    name: str
    kind: str
    detail: str
    layer: int


class EventChart(NamedTuple):
    """All events of a contract; `leads` are (event, event, handlers), `undoes` are (event, effect)."""

    title: str
    boxes: list[EventBox]
    leads: list[tuple[str, str, str]]
    undoes: list[tuple[str, str]]


def event_chart_of(definition: ChoreographyDefinition) -> EventChart:
    """Return the chart of a choreography."""
    contract = definition.contract
    leads: dict[tuple[str, str], list[str]] = {}
    for reaction in contract.reactions:
        who = f"{reaction.participant}.{reaction.handler}" if reaction.handler else OUTSIDE
        for name in reaction.outputs:
            leads.setdefault((reaction.event, name), []).append(who)
    layers = _layers(contract, list(leads))
    undoes = [(undo, effect) for effect, undo in contract.compensations.items() if undo is not None]
    boxes = [
        EventBox(name, _kind(contract, name), _detail(contract, name), layers[name])
        for name in contract.sorted(contract.events)
    ]
    title = f"{definition.name} version {definition.version}"
    return EventChart(title, boxes, [(one, other, ", ".join(who)) for (one, other), who in leads.items()], undoes)


def _kind(contract: Contract, name: str) -> str:
    """Return the style class of an event's box."""
    if name in contract.starts:
        return "start"
    if name in contract.completes:
        return "completed"
    if name in contract.stuck_with:
        return "pivot"
    if name in contract.compensations.values():
        return "undo"
    return "failed" if name in contract.failing else "action"


def _detail(contract: Contract, name: str) -> str:
    """Return an event's meaning for the process, in words."""
    undone = [effect for effect, undo in contract.compensations.items() if undo == name]
    undo = contract.compensations.get(name, "")
    words = [
        "starts it" if name in contract.starts else "",
        "completes it" if name in contract.completes else "",
        f"undoes {', '.join(undone)}" if undone else "",
        "undone by nothing" if undo is None else f"undone by {undo}" if undo else "",
        "fails it" if name in contract.fails else "",
        "a person has to act" if name in contract.stuck_with else "",
        f"from {OUTSIDE}" if name in contract.from_outside else "",
    ]
    return ", ".join(word for word in words if word)


def _layers(contract: Contract, leads: list[tuple[str, str]]) -> dict[str, int]:
    """Return each event's layer: below all events that lead to it, except along paths that lead back."""
    layers = dict.fromkeys(contract.sorted(contract.events), 0)
    back: set[tuple[str, str]] = set()

    def descend(name: str, path: tuple[str, ...]) -> None:
        for one, other in leads:
            if one != name or (one, other) in back:
                continue
            if other in path:
                back.add((one, other))
            elif layers[other] < layers[name] + 1:
                layers[other] = layers[name] + 1
                descend(other, (*path, other))

    for start in contract.starts:
        descend(start, (start,))
    return layers


def event_mermaid(chart: EventChart) -> str:
    """Return a Mermaid flowchart: events downwards, and dashed edges back from compensating events."""
    ids = {box.name: f"e{number}" for number, box in enumerate(chart.boxes, 1)}
    lines = [f"%% {harmless(chart.title)}", "flowchart TD"]
    for box in chart.boxes:
        words = quoted(box.name, box.detail) if box.detail else quoted(box.name)
        opening, closing = (
            ("([", "])") if box.kind in ("start", "completed") or "fails it" in box.detail else ("[", "]")
        )
        lines.append(f"    {ids[box.name]}{opening}{words}{closing}:::{box.kind}")
    lines += [f"    {ids[one]} -- {quoted(who)} --> {ids[other]}" for one, other, who in chart.leads]
    lines += [f"    {ids[undo]} -. undoes .-> {ids[effect]}" for undo, effect in chart.undoes]
    lines += ["    classDef undo stroke-dasharray: 4 3", "    classDef failed stroke-dasharray: 4 3"]
    return "\n".join(lines) + "\n"


def event_svg(chart: EventChart) -> str:
    """Return an SVG picture with the same events, each layer below those that lead to it."""
    texts = [(len(box.name) * NAME_CHARACTER, len(box.detail) * DETAIL_CHARACTER) for box in chart.boxes]
    box_width = max(max(pair) for pair in texts) + 28
    rows: dict[int, list[EventBox]] = {}
    for box in chart.boxes:
        rows.setdefault(box.layer, []).append(box)
    layers = {box.name: box.layer for box in chart.boxes}
    far = [(one, other) for one, other, _ in chart.leads if layers[other] != layers[one] + 1]
    widest = max(len(row) for row in rows.values())
    inner = max(widest * (box_width + BETWEEN_BOXES), len(chart.title) * 9)
    width = inner + len(far) * BETWEEN_LANES + 2 * MARGIN
    places: dict[str, Point] = {}
    for number, (_, row) in enumerate(sorted(rows.items())):
        left = MARGIN + (inner - len(row) * (box_width + BETWEEN_BOXES)) / 2
        y = MARGIN + TITLE_HEIGHT + number * (BOX_HEIGHT + BETWEEN_LAYERS)
        for box in row:
            places[box.name] = (left, y)
            left += box_width + BETWEEN_BOXES
    height = MARGIN + TITLE_HEIGHT + len(rows) * (BOX_HEIGHT + BETWEEN_LAYERS) - BETWEEN_LAYERS + MARGIN
    near = [(one, other) for one, other, _ in chart.leads if (one, other) not in far]
    parts = [_short(places[one], places[other], box_width) for one, other in near]
    for number, (one, other) in enumerate(far):
        lane = MARGIN + inner + number * BETWEEN_LANES
        parts.append(_long(places[one], places[other], box_width, lane, number))
    parts += [_box(box, *places[box.name], box_width) for box in chart.boxes]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img">',
            f"<title>{label(chart.title)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="page" x="0.5" y="0.5" width="{width - 1:g}" height="{height - 1:g}" rx="8"/>',
            f'<text class="title" x="{MARGIN}" y="{MARGIN + 8}">{label(chart.title)}</text>',
            *parts,
            "</svg>\n",
        ]
    )


def _box(box: EventBox, x: float, y: float, width: float) -> str:
    radius = BOX_HEIGHT / 2 if box.kind in ("start", "completed") else 6
    middle = x + width / 2
    name_y, detail = (y + 21, box.detail) if box.detail else (y + 30, "")
    parts = [
        f'<rect class="{box.kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{BOX_HEIGHT}" rx="{radius:g}"/>',
        f'<text class="name" x="{middle:g}" y="{name_y:g}" text-anchor="middle">{label(box.name)}</text>',
    ]
    if detail:
        parts.append(f'<text class="detail" x="{middle:g}" y="{y + 38:g}" text-anchor="middle">{label(detail)}</text>')
    return "\n".join(parts)


def _short(source: Point, target: Point, width: float) -> str:
    """Draw a curve from the bottom of a box to the top of one directly below it."""
    x, y, to_x, to_y = source[0] + width / 2, source[1] + BOX_HEIGHT, target[0] + width / 2, target[1]
    bend = (to_y - y) / 2
    return _arrow(f"M{x:g} {y:g}C{x:g} {y + bend:g} {to_x:g} {to_y - bend:g} {to_x:g} {to_y - 8:g}", to_x, to_y)


def _long(source: Point, target: Point, width: float, lane: float, number: int) -> str:
    """Draw a line from the bottom of a box to the top of a distant one, along a lane beside the layers."""
    x, y, to_x, to_y = source[0] + width / 2, source[1] + BOX_HEIGHT, target[0] + width / 2, target[1]
    # Lines in the same gap between layers are drawn at different heights.
    offset = 10 + number % 4 * 6
    return _arrow(f"M{x:g} {y:g}V{y + offset:g}H{lane:g}V{to_y - offset - 5:g}H{to_x:g}V{to_y - 8:g}", to_x, to_y)


def _arrow(path: str, x: float, y: float) -> str:
    head = f"M{x:g} {y - 1:g}L{x - 4.5:g} {y - 8:g}L{x + 4.5:g} {y - 8:g}Z"
    return f'<path class="then" d="{path}"/>\n<path class="head" d="{head}"/>'
