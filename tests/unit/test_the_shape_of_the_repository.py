"""The shape of the repository is a promise to its readers; this holds it, without git, so a copy can be checked."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
IGNORED = [
    pattern.strip("/")
    for pattern in (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    if not pattern.startswith("#")
]

ROOT_ENTRIES = {
    "README.md", "LICENSE", "CHANGELOG.md", "Makefile", "pyproject.toml", "docker-compose.yml", ".gitignore", ".ci",
    "src", "tests", "domain", "projections", "docs",
}  # fmt: skip
FORBIDDEN_NAMES = {
    "manager",
    "utils",
    "util",
    "helper",
    "helpers",
    "common",
    "core",
    "base",
    "workflow",
    "rollback",
    "misc",
}
MODULE_LINES = 400
FUNCTION_LINES = 51
LOADED_LATER = [
    "asyncio",
    "sqlite3",
    "psycopg",
    "psycopg_pool",
    "eventsourcing",
    "pydantic",
    "click",
    "rich",
]

A_STATEMENT = re.compile(
    r"\b(SELECT\b.+\bFROM|INSERT\s+(OR\s+\w+\s+)?INTO|UPDATE\b.+\bSET|DELETE\s+FROM"
    r"|(CREATE|ALTER|DROP)\s+(UNIQUE\s+)?(TABLE|INDEX|VIEW|TYPE|SCHEMA|TRIGGER|FUNCTION))\b",
    re.DOTALL,
)

# Spelled in pieces, so that this file does not hold what it forbids.
MACHINE_PATHS = re.compile("|".join(f"/{name}/" for name in ["work", "root", r"home/\w+", r"Users/\w+", "opt/pypi"]))
HOSTS_OF_PACKAGES = re.compile("|".join([r"pypi\." + "org", r"pythonhosted\." + "org", "extra-index" + "-url"]))


def files(folder: Path = ROOT) -> Iterator[Path]:
    """Yield what is kept in the repository: every file that .gitignore does not name."""
    for path in sorted(folder.iterdir()):
        if path.name == ".git" or any(fnmatch(path.name, pattern) for pattern in IGNORED):
            continue
        if path.is_dir():
            yield from files(path)
        else:
            yield path


FILES = list(files())
MODULES = [path for path in FILES if path.suffix == ".py"]
LIBRARY_AND_SERVICE = [path for path in MODULES if path.relative_to(ROOT).parts[0] in {"src", "domain", "projections"}]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def tree_of(path: Path) -> ast.Module:
    # Not kept: six hundred trees in memory cost more than to parse them again.
    return ast.parse(text_of(path), name_of(path))


def none_of(offences: Iterable[str]) -> None:
    """Fail with every offence: a rule is one test, for thousands of them would cost more than what they look at."""
    found = list(offences)
    assert not found, "\n".join(["", *found])


def test_the_root_holds_exactly_what_the_design_lists() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == ROOT_ENTRIES


def test_a_module_opens_with_a_sentence_that_says_what_it_is() -> None:
    docstrings = {name_of(path): ast.get_docstring(tree_of(path)) for path in MODULES}
    none_of(
        f"{name} opens with no sentence: {docstring!r}" if docstring else f"{name} has no docstring"
        for name, docstring in docstrings.items()
        if "." not in (docstring or "")
    )


def test_a_module_is_short() -> None:
    lines = {name_of(path): len(text_of(path).splitlines()) for path in MODULES}
    none_of(
        f"{name} has {number} lines: split it by what it is about"
        for name, number in lines.items()
        if number >= MODULE_LINES
    )


def test_a_function_is_short() -> None:
    none_of(
        f"{node.name} in {name_of(path)} has {lines} lines"
        for path in MODULES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) >= FUNCTION_LINES
    )


def test_a_module_is_named_for_what_it_is() -> None:
    none_of(
        f"{name_of(path)} has a name that says nothing"
        for path in MODULES
        if {part.removesuffix(".py") for part in path.relative_to(ROOT).parts} & FORBIDDEN_NAMES
    )


def test_sql_stands_in_sql_files() -> None:
    none_of(
        f"{name_of(path)}:{line} holds SQL: put it in a named block of a .sql file"
        for path in LIBRARY_AND_SERVICE
        for line, text in strings(tree_of(path))
        if A_STATEMENT.search(text)
    )


def strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield each string with its line, an f-string as one with its holes filled, and leave out docstrings."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))  # a docstring, or a string that does nothing
        elif isinstance(node, ast.JoinedStr):
            skipped.update(id(part) for part in node.values)
            parts = [str(part.value) if isinstance(part, ast.Constant) else "hole" for part in node.values]
            yield node.lineno, "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.lineno, node.value


@pytest.mark.parametrize(
    "source",
    [
        'f"SELECT {columns} FROM orders"',
        'run("INSERT INTO orders VALUES (1)")',
        '"""\nUPDATE orders\nSET a = 1\n""".strip()',
        'query = f"DELETE FROM {table}"',
        '"CREATE TABLE orders (id)" + "x"',
    ],
)
def test_sql_in_python_is_seen(source: str) -> None:
    assert any(A_STATEMENT.search(text) for _, text in strings(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    ['"""SELECT a FROM b."""', '"select one FROM the list"', '"BEGIN IMMEDIATE"', 'f"PRAGMA {x}"'],
)
def test_prose_is_not_taken_for_sql(source: str) -> None:
    assert not any(A_STATEMENT.search(text) for _, text in strings(ast.parse(source)))


def test_no_package_under_tests_can_shadow_a_real_one() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))
    assert not (ROOT / "tests" / "domain").exists()


def test_a_file_names_neither_a_machine_nor_a_package_host() -> None:
    none_of(offence for path in FILES for offence in places_named_in(path))


def places_named_in(path: Path) -> Iterator[str]:
    try:
        text = text_of(path)
    except UnicodeDecodeError:
        return  # a picture names nothing
    if MACHINE_PATHS.search(text):
        yield f"{name_of(path)} holds a path of somebody's machine"
    if HOSTS_OF_PACKAGES.search(text):
        yield f"{name_of(path)} names a package host"


@pytest.mark.parametrize("module", ["sagalog", "sagalog.saga"])
def test_declaring_a_saga_loads_no_io(module: str) -> None:
    question = f"import sys, {module}; print([name for name in {LOADED_LATER} if name in sys.modules])"
    asked = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=False)
    assert asked.stdout.strip() == "[]", asked.stdout + asked.stderr


def test_every_installed_package_has_a_version_and_a_hash_and_no_address() -> None:
    run = pins("constraints-run.txt")
    everything = pins("constraints.txt")
    assert set(run.items()) <= set(everything.items()), "the demo would run at other versions than the tests"
    for file in ["constraints-run.txt", "constraints.txt"]:
        assert "://" not in (ROOT / ".ci" / file).read_text(encoding="utf-8")


def pins(file: str) -> dict[str, str]:
    """Return each package of a constraints file with its version and hashes; where it is needed may differ."""
    text = (ROOT / ".ci" / file).read_text(encoding="utf-8")
    found = dict(re.findall(r"^([a-z0-9-]+)==((?:.*\\\n)*.*)", text, re.MULTILINE))
    assert found
    assert all("--hash=sha256:" in pin for pin in found.values())
    return {name: re.sub(r" ;.*?(?= \\\n)", "", pin) for name, pin in found.items()}


def test_every_declared_dependency_is_constrained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups: dict[str, list[str]] = project["dependency-groups"]
    wanted: list[str] = project["project"]["dependencies"] + [one for group in groups.values() for one in group]
    names = {re.split(r"[\[<>=~!; ]", requirement)[0].lower() for requirement in wanted}
    assert names <= set(pins("constraints.txt"))


def test_the_wheel_holds_the_library_and_nothing_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["hatch"]["build"]["targets"] == {"wheel": {"packages": ["src/sagalog"]}}
