"""Draws the state machine from its table, as Mermaid. Run as a program it writes the diagram into docs/concepts.md."""

import re
from collections import defaultdict

from pages.pages import DOCS

from sagalog.saga.transitions import ENDED, TRANSITIONS

PAGE = DOCS / "concepts.md"
BLOCK = re.compile(r"```mermaid\n.*?```\n", re.DOTALL)


def diagram() -> str:
    """Return the diagram as a fenced block; events that join the same two statuses share an arrow."""
    arrows: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for (before, event), targets in TRANSITIONS.items():
        for after in targets:
            arrows[before or "[*]", after].append(event)
    lines = ["stateDiagram-v2"]
    lines += [f"    {source} --> {target}: {', '.join(events)}" for (source, target), events in arrows.items()]
    lines += [f"    {status} --> [*]" for status in sorted(ENDED)]
    return "\n".join(["```mermaid", *lines, "```", ""])


if __name__ == "__main__":
    PAGE.write_text(BLOCK.sub(lambda _: diagram(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
