"""Runs a page of the documentation as a reader would, from top to bottom in an empty folder; it judges no prose.

The convention is told in docs/contributing.md. Nothing leaves the folder: commands that would are only looked at.
"""

import contextlib
import io
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from types import ModuleType

import click
from pages.pages import ROOT, Block, Page
from pages.sagalog_commands import parse, run

_ASSIGNMENT = re.compile(r"[A-Z_]+=")
_SAGALOG = "from sagalog.cli import main; main(prog_name='sagalog')"

# Commands that a page may show and a test cannot run: they need the network, docker, or another terminal.
LOOKED_AT = ("cd", "curl", "docker", "git", "kill", "pip", "psql", "pytest", "python3", "uvicorn")


class PageRun:
    """One run of one page. `set_variable` sets an environment variable until the test ends."""

    def __init__(self, page: Page, folder: Path, set_variable: Callable[[str, str], None]) -> None:
        self._page = page
        self._folder = folder
        self._set_variable = set_variable
        self._module = ModuleType("page")
        self._shown = ""

    def run(self) -> None:
        """Run every block; raises `AssertionError` naming the line of the first that is not true."""
        before: Block | None = None
        for block in self._page.blocks:
            with self._told_where(block):
                self._run(block, before)
            before = block

    @contextlib.contextmanager
    def _told_where(self, block: Block) -> Generator[None]:
        try:
            yield
        except BaseException as problem:
            problem.add_note(f"in the block of {self._page.name} that begins on line {block.line}")
            raise

    def _run(self, block: Block, before: Block | None) -> None:
        file = block.option("file")
        if file is not None:
            path = self._folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            self._python(block)
        elif block.language == "sql":
            self._shown = table(self._query(block.text))
        elif block.language == "console":
            self._console(block)
        elif block.language == "text" and before is not None and before.language in ("python", "sql"):
            if before.language == "sql":
                assert_shown(columns_of(block.text), columns_of(self._shown))
            elif before.option("file") is None:
                assert_shown(block.text, self._shown)
            self._shown = ""

    def _python(self, block: Block) -> None:
        # Line numbers as they are on the page, so that a traceback leads to it.
        source = "\n" * block.line + block.text
        captured = io.StringIO()
        sys.modules["page"] = self._module
        with contextlib.redirect_stdout(captured):
            exec(compile(source, self._page.name, "exec"), self._module.__dict__)
        self._shown += captured.getvalue()

    def _query(self, sql: str) -> list[Sequence[object]]:
        """Run a query on the one database in the folder that holds sagas; the titles come first."""
        for path in sorted(self._folder.glob("*.db")):
            with contextlib.closing(sqlite3.connect(path)) as connection:
                if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'saga_status'").fetchone():
                    continue
                cursor = connection.execute(sql)
                return [[column[0] for column in cursor.description or ()], *cursor.fetchall()]
        raise AssertionError("the page shows SQL, and made no database with sagas before it")

    def _console(self, block: Block) -> None:
        only_parsed = "no-run" in block.words
        for command, expected in commands_of(block.text):
            with told_command(command):
                shown = self._command(command, only_parsed)
                if shown is not None and expected:
                    assert_shown(expected, shown)

    def _command(self, command: str, only_parsed: bool) -> str | None:
        """Run a command and return what it wrote; None for one that is only looked at."""
        words = shlex.split(command)
        variables = dict(word.split("=", 1) for word in takewhile(_ASSIGNMENT.match, words))
        words = words[len(variables) :]
        fails = words[-2:] == ["||", "true"]
        words = words[:-2] if fails else words
        if words[-2:-1] == [">"]:
            shown = self._words(words[:-2], variables, only_parsed, fails)
            (self._folder / words[-1]).write_text(shown or "", encoding="utf-8")
            return None
        return self._words(words, variables, only_parsed, fails)

    def _words(self, words: list[str], variables: dict[str, str], only_parsed: bool, fails: bool) -> str | None:
        limit: list[str] = []
        if words[0] == "timeout":
            limit, words = words[:4], words[4:]
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            self._set_variable(name, value)
        elif words[0] == "make":
            targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
            assert words[1] in targets, f"the Makefile has no {words[1]}"
        elif words[0] == "sagalog":
            if only_parsed:
                parse(words[1:])
            elif variables or limit:
                # With variables of its own a command gets a process of its own, which it may kill.
                return self._process([*limit, sys.executable, "-c", _SAGALOG, *words[1:]], variables, fails)
            else:
                return run(words[1:], fails)
        elif words[0] == "python" and not only_parsed:
            return self._process([*limit, sys.executable, *words[1:]], variables, fails)
        elif words[0] == "grep" and not only_parsed:
            return self._process(words, variables, fails)
        else:
            assert words[0] in (*LOOKED_AT, "python"), f"nobody knows how to try `{words[0]}`: see docs/contributing.md"
        return None

    def _process(self, words: Sequence[str], variables: Mapping[str, str], fails: bool) -> str:
        environment = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
        asked = subprocess.run(
            words, cwd=self._folder, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert fails == (asked.returncode != 0), asked.stdout + asked.stderr
        return asked.stdout


@contextlib.contextmanager
def told_command(command: str) -> Generator[None]:
    """Name the command in what is raised."""
    try:
        yield
    except (AssertionError, click.ClickException) as problem:
        problem.add_note(f"by the command `{command}`")
        raise


def commands_of(text: str) -> list[tuple[str, str]]:
    """Return each `$ command`, continued over lines that end with a backslash, with the output that is shown."""
    found: list[tuple[str, str]] = []
    continued = False
    for line in text.splitlines():
        if continued or line.startswith("$ "):
            part = line.removeprefix("$ ")
            previous = found.pop()[0] if continued else ""
            continued = part.endswith("\\")
            found.append((previous + part.removesuffix("\\"), ""))
        else:
            command, output = found.pop()
            found.append((command, f"{output}{line}\n"))
    return found


def assert_shown(expected: str, found: str) -> None:
    """Compare what a page shows with what was written; `...` stands for the rest of a line, or for whole lines.

    How wide the columns of a table are is not compared: it depends on how long the longest duration was.
    """
    lines = [re.escape(line).replace(r"\.\.\.", ".*?") for line in map(narrowed, expected.strip("\n").splitlines())]
    pattern = "".join(r"(?:.*\n)*?" if line == ".*?" else f"{line}\n" for line in lines)
    actual = "".join(f"{narrowed(line)}\n" for line in found.strip("\n").splitlines())
    assert re.fullmatch(pattern, actual), f"the page shows\n{expected}\nand found was\n{actual}"


def narrowed(line: str) -> str:
    """Return a line with two blanks for any more of them between words, and a short rule for a long one."""
    return re.sub("─+", "─", re.sub(r"(?<=\S) {2,}", "  ", line.rstrip()))


def table(rows: Sequence[Sequence[object]]) -> str:
    """Return rows as text, with two blanks between the columns."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[number]) for row in cells) for number in range(len(cells[0]))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)


def columns_of(text: str) -> str:
    """Return a table with one blank between its cells, and without rules, however it was drawn."""
    lines = [re.sub(r"\s{2,}|\s*[|│]\s*", " ", line.strip("|│ ")).strip() for line in text.strip("\n").splitlines()]
    return "\n".join(line for line in lines if set(line) - set("─━═-+| "))
