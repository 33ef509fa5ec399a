"""Imports go down the table of rooms in docs/architecture.md: none goes up, none goes in a circle.

Every import is walked, also those inside of functions and those for type checkers only, which a tool that looks at what
is loaded does not see.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
PAGE = ROOT / "docs" / "architecture.md"
MODULES = {
    ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(SRC.rglob("*.py"))
}
CODE = re.compile(r"`([^`]+)`")
# What is public is found by its name, from wherever it lies: nothing is above this, and it loads nothing at once.
DOOR = "sagalog"
# Those that import by a name which only a run knows: of what is public, of a command, of a broker, of a user's app.
BY_NAME = {"sagalog", "sagalog.cli", "sagalog.transports.faststream", "sagalog.cli.app"}


def imported_by(module: str, path: Path) -> Iterator[str]:
    """Yield every module of ours that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [one if one in MODULES else node.module for one in found]
        yield from (name for name in names if name in MODULES and name != module)


IMPORTS = {module: frozenset(imported_by(module, path)) for module, path in MODULES.items()}


def rooms() -> list[tuple[str, ...]]:
    """Return the lines of the table, from the top: the files and folders that each of them names."""
    section = PAGE.read_text(encoding="utf-8").partition("## Rooms")[2].partition("\n## ")[0]
    lines = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    found: list[tuple[str, ...]] = []
    for line in lines:
        folder, colon, files = line.partition("`: ")
        within = folder.strip(" `") if colon else ""  # some files of a folder
        found.append(tuple(within + name for name in CODE.findall(files or line)))
    return found


def place_of(module: str, table: list[tuple[str, ...]]) -> tuple[int, str]:
    """Return the line of the table that a module belongs to, and the longest name in it that holds it."""
    path = MODULES[module].relative_to(SRC / "sagalog").as_posix()
    held = [
        (len(name), number, name)
        for number, names in enumerate(table)
        for name in names
        if path == name or (name.endswith("/") and path.startswith(name))
    ]
    assert held, f"{path} is in no room of docs/architecture.md: give it a line of its table"
    _, number, name = max(held)
    return number, name


def test_no_import_leads_in_a_circle() -> None:
    way: list[str] = []
    done: set[str] = set()

    def walk(module: str) -> None:
        if module in way:
            circle = [*way[way.index(module) :], module]
            raise AssertionError("a circle: " + " -> ".join(circle))
        if module in done:
            return
        way.append(module)
        for imported in sorted(IMPORTS[module]):
            walk(imported)
        done.add(way.pop())

    for module in MODULES:
        walk(module)
    assert len(done) > 200


def test_every_import_goes_down_the_table_of_rooms() -> None:
    table = rooms()
    places = {module: place_of(module, table) for module in MODULES if module != DOOR}
    wrong: list[str] = []
    for module, (line, room) in places.items():
        for imported in sorted(IMPORTS[module] & places.keys()):
            its_line, its_room = places[imported]
            # Rooms of one line stand beside each other, and none of them knows another.
            if its_line < line or (its_line == line and its_room != room and room.endswith("/")):
                wrong.append(f"{module} imports {imported}")
    assert wrong == []
    assert len(places) > 200


def test_nothing_of_the_library_goes_by_its_own_door() -> None:
    """What is public is taken from its own module: by the door, anything could be reached from anywhere."""
    assert [module for module, imported in IMPORTS.items() if DOOR in imported] == []


def test_no_import_is_hidden_from_this_test() -> None:
    """Relative ones are not walked here, nor those by a name that is computed."""
    relative: list[str] = []
    by_name: set[str] = set()
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                relative.append(module)
            called = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
            if called in ("import_module", "__import__"):
                by_name.add(module)
    assert relative == []
    assert by_name == BY_NAME


def test_no_command_imports_another() -> None:
    commands = {module for module in MODULES if module.startswith("sagalog.cli.commands.")}
    assert len(commands) > 10
    assert {module: IMPORTS[module] & commands for module in commands if IMPORTS[module] & commands} == {}


@pytest.mark.parametrize("name", sorted({name for names in rooms() for name in names}))
def test_every_room_of_the_table_is_there(name: str) -> None:
    assert (SRC / "sagalog" / name).exists()
