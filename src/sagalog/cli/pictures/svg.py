"""A saga as an SVG picture in two columns: actions downwards, compensations upwards; pure text.

The picture has a background of its own, so that it is readable on light and dark pages.
"""

from html import escape
from typing import Final, NamedTuple

from sagalog.cli.pictures.chart import Chart, StepBox
from sagalog.harmless import harmless

NAME_CHARACTER: Final = 8.2
DETAIL_CHARACTER: Final = 6.3
MARGIN: Final = 28
BETWEEN_COLUMNS: Final = 110
BOX_HEIGHT: Final = 50
PILL_HEIGHT: Final = 34
GAP: Final = 38
GROUP_GAP: Final = 14
GROUP_PADDING: Final = 14
GROUP_TITLE: Final = 20

STYLE: Final = """
    text { font-family: ui-sans-serif, system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1b2733 }
    .name { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 13px }
    .detail { font-size: 11px; fill: #5a6876 }
    .title { font-size: 15px; font-weight: 600 }
    .page { fill: #ffffff; stroke: #d8dee5 }
    .action { fill: #edf4fc; stroke: #4b7fb8 }
    .pivot { fill: #edf4fc; stroke: #4b7fb8; stroke-width: 3 }
    .undo { fill: #fdf3e7; stroke: #b57b35; stroke-dasharray: 5 3 }
    .completed { fill: #e9f6ec; stroke: #3f8f56 }
    .failed { fill: #fdf3e7; stroke: #b57b35 }
    .start { fill: #f3f5f7; stroke: #7d8a97 }
    .group { fill: none; stroke: #a9b4bf; stroke-dasharray: 2 3 }
    .then { fill: none; stroke: #4b7fb8; stroke-width: 1.5 }
    .back { fill: none; stroke: #b57b35; stroke-width: 1.5; stroke-dasharray: 5 4 }
    .head { fill: #4b7fb8 } .backhead { fill: #b57b35 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .detail { fill: #9fb0c0 }
      .page { fill: #12181f; stroke: #2c3743 }
      .action, .pivot { fill: #1b2a3c; stroke: #79a8dd }
      .undo, .failed { fill: #33281a; stroke: #dba15b }
      .completed { fill: #17301f; stroke: #6cc287 }
      .start { fill: #222b35; stroke: #8d9baa }
      .group { stroke: #56636f }
      .then { stroke: #79a8dd } .back { stroke: #dba15b }
      .head { fill: #79a8dd } .backhead { fill: #dba15b }
    }
"""


class Place(NamedTuple):
    """The vertical place of a stage, or of one step: from `top` to `bottom`."""

    top: float
    bottom: float

    @property
    def middle(self) -> float:
        """Return the vertical middle."""
        return (self.top + self.bottom) / 2


class Layout(NamedTuple):
    """The positions of everything: the columns' left edges, the stages and their boxes from top to bottom."""

    width: float
    height: float
    box_width: float
    left: float
    right: float
    stages: list[Place]
    boxes: list[list[Place]]
    start: Place
    end: Place


def svg(chart: Chart) -> str:
    """Return the picture of a saga."""
    layout = _lay_out(chart)
    page = _rect("page", 0.5, 0.5, layout.width - 1, layout.height - 1, 10)
    parts = [page, _text(MARGIN, MARGIN + 6, "title", chart.title, anchor="start")]
    parts += _forwards(chart, layout)
    parts += _backwards(chart, layout)
    body = "\n  ".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{layout.width:g}" height="{layout.height:g}" '
        f'viewBox="0 0 {layout.width:g} {layout.height:g}" role="img">\n'
        f"  <title>{label(chart.title)}</title>\n  <style>{STYLE}  </style>\n  {body}\n</svg>\n"
    )


def _lay_out(chart: Chart) -> Layout:
    boxes = [box for stage in chart.stages for box in stage]
    names = [name for box in boxes for name in (box.name, box.undo or "")] + [f"start: {chart.input}"]
    details = [detail for box in boxes for detail in (_detail(box), box.undo_detail)]
    box_width = max(
        190.0,
        max(len(name) for name in names) * NAME_CHARACTER + 32,
        max(len(detail) for detail in details) * DETAIL_CHARACTER + 28,
    )
    left = MARGIN + GROUP_PADDING
    right = left + box_width + BETWEEN_COLUMNS
    y = MARGIN + 34.0
    start = Place(y, y + PILL_HEIGHT)
    y += PILL_HEIGHT + GAP
    places: list[Place] = []
    inner: list[list[Place]] = []
    for stage in chart.stages:
        top = y
        is_group = len(stage) > 1
        y += GROUP_TITLE if is_group else 0
        row: list[Place] = []
        for _ in stage:
            row.append(Place(y, y + BOX_HEIGHT))
            y += BOX_HEIGHT + GROUP_GAP
        y += (GROUP_PADDING if is_group else 0) - GROUP_GAP
        places.append(Place(top, y))
        inner.append(row)
        y += GAP
    width = max(right + box_width + MARGIN + GROUP_PADDING, len(chart.title) * 9 + 2 * MARGIN)
    return Layout(
        width, y + PILL_HEIGHT + MARGIN, box_width, left, right, places, inner, start, Place(y, y + PILL_HEIGHT)
    )


def _forwards(chart: Chart, layout: Layout) -> list[str]:
    parts = _pill(layout, layout.left, layout.start, "start", f"start: {chart.input}")
    middle = layout.left + layout.box_width / 2
    above = layout.start
    for stage, place, row in zip(chart.stages, layout.stages, layout.boxes, strict=True):
        if len(stage) > 1:
            parts += _group(layout, layout.left, place)
        for box, where in zip(stage, row, strict=True):
            kind = "pivot" if box.pivot else "action"
            if box.repeated:
                parts += _behind(layout, layout.left, where, kind)
            parts += _box(layout, layout.left, where, kind, box.name, _detail(box))
        parts += _arrow("then", middle, above.bottom, place.top)
        above = place
    parts += _arrow("then", middle, above.bottom, layout.end.top)
    return parts + _pill(layout, layout.left, layout.end, "completed", "completed")


def _backwards(chart: Chart, layout: Layout) -> list[str]:
    parts = _pill(layout, layout.right, layout.start, "failed", "failed")
    middle = layout.right + layout.box_width / 2
    above = layout.start
    for stage, place, row in zip(chart.stages, layout.stages, layout.boxes, strict=True):
        undone = [box for box in stage if box.undo is not None]
        for box, where in zip(stage, row, strict=True):
            if box.undo is None:
                # Drawn beside the action, where no arrow of the steps below passes.
                x = layout.left + layout.box_width + GROUP_PADDING + 6
                parts.append(_text(x, where.middle + 4, "detail", box.undo_detail, anchor="start"))
                continue
            if box.repeated:
                parts += _behind(layout, layout.right, where, "undo")
            parts += _box(layout, layout.right, where, "undo", box.undo, box.undo_detail)
            parts += _arrow_right(layout.left + layout.box_width, layout.right, where.middle)
        if not undone:
            continue
        if len(stage) > 1:
            parts += _group(layout, layout.right, place)
        parts += _arrow("back", middle, place.top, above.bottom)
        above = place
    return parts


def _detail(box: StepBox) -> str:
    return "  ".join(
        text
        for text in (
            "pivot:" if box.pivot else "",
            "if its condition holds," if box.conditional else "",
            f"{box.repeated}," if box.repeated else "",
            box.detail,
        )
        if text
    )


def _box(layout: Layout, x: float, place: Place, kind: str, name: str, detail: str) -> list[str]:
    middle = x + layout.box_width / 2
    return [
        _rect(kind, x, place.top, layout.box_width, BOX_HEIGHT, 6),
        _text(middle, place.top + 21, "name", name),
        _text(middle, place.top + 38, "detail", detail),
    ]


def _behind(layout: Layout, x: float, place: Place, kind: str) -> list[str]:
    """Draw two more boxes behind one, the farthest first, for a step that is made once for each element."""
    return [_rect(kind, x + by, place.top - by, layout.box_width, BOX_HEIGHT, 6) for by in (6, 3)]


def _pill(layout: Layout, x: float, place: Place, kind: str, name: str) -> list[str]:
    radius = PILL_HEIGHT / 2
    return [
        _rect(kind, x, place.top, layout.box_width, PILL_HEIGHT, radius),
        _text(x + layout.box_width / 2, place.middle + 4, "name", name),
    ]


def _rect(kind: str, x: float, y: float, width: float, height: float, radius: float) -> str:
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}"/>'


def _group(layout: Layout, x: float, place: Place) -> list[str]:
    width = layout.box_width + 2 * GROUP_PADDING
    return [
        _rect("group", x - GROUP_PADDING, place.top, width, place.bottom - place.top, 10),
        _text(x, place.top + 14, "detail", "side by side", anchor="start"),
    ]


def _arrow(kind: str, x: float, start: float, end: float) -> list[str]:
    """Draw a vertical arrow: down for actions, up for compensations."""
    direction = 1 if end > start else -1
    tip, neck = end - 1 * direction, end - 8 * direction
    head = "head" if kind == "then" else "backhead"
    return [
        f'<path class="{kind}" d="M{x:g} {start:g}V{neck:g}"/>',
        f'<path class="{head}" d="M{x:g} {tip:g}L{x - 4.5:g} {neck:g}L{x + 4.5:g} {neck:g}Z"/>',
    ]


def _arrow_right(start: float, end: float, y: float) -> list[str]:
    return [
        f'<path class="back" d="M{start:g} {y:g}H{end - 8:g}"/>',
        f'<path class="backhead" d="M{end - 1:g} {y:g}L{end - 8:g} {y - 4.5:g}L{end - 8:g} {y + 4.5:g}Z"/>',
        _text((start + end) / 2, y - 6, "detail", "undo"),
    ]


def _text(x: float, y: float, kind: str, text: str, anchor: str = "middle") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{label(text)}</text>'


def label(text: str) -> str:
    """Return a name as text of the picture, escaped for XML and without control characters."""
    return escape(harmless(text))
