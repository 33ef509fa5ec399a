"""The pages of the documentation as data: fenced blocks, headings and links of a Markdown file. It runs nothing."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[3]

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^`\n]*)\n(?P<text>.*?)^(?P=indent)```[ ]*$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
_CODE_SPAN = re.compile(r"`[^`\n]*`")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the other words of its first line, its text, and the line that it begins on."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int

    def option(self, name: str) -> str | None:
        """Return the value of a word `name=value`, or None."""
        found = [word.partition("=")[2] for word in self.words if word.startswith(f"{name}=")]
        return found[0] if found else None


@dataclass(frozen=True)
class Page:
    """A Markdown file of the repository."""

    path: Path

    @property
    def name(self) -> str:
        """Return the path from the root of the repository."""
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        """Return what stands in the file."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """Return the text without its fenced blocks; every other line keeps its place."""
        return _FENCE.sub(lambda match: "\n" * match[0].count("\n"), self.text)

    @cached_property
    def blocks(self) -> list[Block]:
        """Return the fenced blocks in order."""
        found: list[Block] = []
        for match in _FENCE.finditer(self.text):
            language, *words = match["info"].split() or [""]
            indent = len(match["indent"])
            lines = [line[indent:] for line in match["text"].splitlines(keepends=True)]
            found.append(Block(language, tuple(words), "".join(lines), self.text.count("\n", 0, match.start()) + 1))
        return found

    @cached_property
    def headings(self) -> list[str]:
        """Return the headings as they are written."""
        return _HEADING.findall(self.prose)

    @property
    def anchors(self) -> set[str]:
        """Return what a link to a part of this page may name."""
        return {anchor(heading) for heading in self.headings}

    @property
    def links(self) -> list[str]:
        """Return the target of every link."""
        return _LINK.findall(_CODE_SPAN.sub("", self.prose))

    def section(self, heading: str) -> str:
        """Return the text below a heading, up to the next heading of any level."""
        pattern = rf"^#{{1,6}} +{re.escape(heading)}\s*$\n(.*?)(?=^#{{1,6}} |\Z)"
        match = re.search(pattern, self.text, re.MULTILINE | re.DOTALL)
        assert match is not None, f"{self.name} has no heading {heading!r}"
        return match[1]

    def rows(self, first: str) -> list[list[str]]:
        """Return the cells of every table row in the prose whose table begins with a column titled `first`."""
        found: list[list[str]] = []
        inside = False
        for line in self.prose.splitlines():
            if not line.startswith("|"):
                inside = False
                continue
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
            if not inside:
                inside = cells[0] == first
                continue
            if set("".join(cells)) - set("-: "):
                found.append(cells)
        return found


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    kept = "".join(letter for letter in heading.lower() if letter.isalnum() or letter in " -_")
    return kept.strip().replace(" ", "-")


README = Page(ROOT / "README.md")
DOCS = ROOT / "docs"


def pages() -> list[Page]:
    """Return the README and every page below docs/."""
    return [README, *[Page(path) for path in sorted(DOCS.rglob("*.md"))]]


def page(name: str) -> Page:
    """Return a page by its path below docs/."""
    return Page(DOCS / name)
