"""A saga as a Mermaid flowchart; pure text."""

from sagalog.cli.chart import Chart, StepBox


def mermaid(chart: Chart) -> str:
    """Return the flowchart: steps downwards, what is undone by dashed edges back up."""
    lines = [f"%% {chart.title}", "flowchart TD", f"    start([{_quoted('start: ' + chart.input)}])"]
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
        lines += [f"    u{node}[/{_quoted(str(box.undo))}/]:::undo" for node, box in here]
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
    label = box.name + ("<br/>if its condition holds" if box.conditional else "")
    label += "".join(f"<br/>{text}" for text in (box.child, box.repeated) if text)
    if box.pivot:
        return f"{node}[[{_quoted(label + '<br/>pivot')}]]"
    return f"{node}[{_quoted(label)}]"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', "#quot;") + '"'
