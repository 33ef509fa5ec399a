"""A saga as a Mermaid flowchart; pure text."""

from sagalog.cli.pictures.chart import Chart, StepBox
from sagalog.harmless import harmless


def mermaid(chart: Chart) -> str:
    """Return the flowchart: steps downwards, compensations as dashed edges back up."""
    lines = [f"%% {harmless(chart.title)}", "flowchart TD", f"    start([{quoted('start: ' + chart.input)}])"]
    before = ["start"]
    undone: list[list[str]] = []
    number = 0
    edges: list[str] = []
    for position, stage in enumerate(chart.stages, 1):
        ids = [f"s{number + offset}" for offset in range(1, len(stage) + 1)]
        number += len(stage)
        nodes = [_action(node, box) for node, box in zip(ids, stage, strict=True)]
        if len(stage) > 1:
            nodes = [f'subgraph g{position}["side by side"]', *(f"    {node}" for node in nodes), "end"]
        lines += [f"    {node}" for node in nodes]
        edges += [f"    {one} --> {other}" for one in before for other in ids]
        before = ids
        here = [(node, box) for node, box in zip(ids, stage, strict=True) if box.undo is not None]
        lines += [f"    u{node}[/{quoted(str(box.undo))}/]:::undo" for node, box in here]
        edges += [f"    {node} -. undo .-> u{node}" for node, _ in here]
        if here:
            undone.append([f"u{node}" for node, _ in here])
    edges += [f"    {one} --> done" for one in before]
    for later, earlier in zip(undone[1:], undone, strict=False):
        edges += [f"    {one} -.-> {other}" for one in later for other in earlier]
    lines.append("    done([completed])")
    lines.append("    failed([failed])")
    edges += [f"    {one} -.-> failed" for one in (undone[0] if undone else ["s1"])]
    style = "    classDef undo stroke-dasharray: 4 3"
    return "\n".join([*lines, *edges, style]) + "\n"


def _action(node: str, box: StepBox) -> str:
    lines = [
        box.name,
        "if its condition holds" if box.conditional else "",
        box.child,
        box.repeated,
        "pivot" if box.pivot else "",
    ]
    label = quoted(*(line for line in lines if line))
    return f"{node}[[{label}]]" if box.pivot else f"{node}[{label}]"


def quoted(*lines: str) -> str:
    """Return lines as the label of a node, escaped, because Mermaid reads labels as HTML."""
    return '"' + "<br/>".join(harmless(line).translate(_ENTITIES) for line in lines) + '"'


_ENTITIES = str.maketrans({"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;"})
