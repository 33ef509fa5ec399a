"""The shape of the repository is a promise to its readers; this holds it, without git, so a copy can be checked."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
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
FUNCTION_LINES = 60
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


every_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


def test_the_root_holds_exactly_what_the_design_lists() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == ROOT_ENTRIES


@every_module
def test_a_module_opens_with_a_sentence_that_says_what_it_is(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, f"{name_of(path)} has no docstring"
    assert "." in docstring, f"{name_of(path)} opens with no sentence: {docstring!r}"


@every_module
def test_a_module_is_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines < MODULE_LINES, f"{name_of(path)} has {lines} lines: split it by what it is about"


@every_module
def test_a_function_is_short(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines < FUNCTION_LINES, f"{node.name} in {name_of(path)} has {lines} lines"


@every_module
def test_a_module_is_named_for_what_it_is(path: Path) -> None:
    names = {part.removesuffix(".py") for part in path.relative_to(ROOT).parts}
    assert not names & FORBIDDEN_NAMES


@pytest.mark.parametrize("path", LIBRARY_AND_SERVICE, ids=name_of)
def test_sql_stands_in_sql_files(path: Path) -> None:
    for line, text in strings(ast.parse(path.read_text(encoding="utf-8"))):
        assert not A_STATEMENT.search(text), f"{name_of(path)}:{line} holds SQL: put it in a named block of a .sql file"


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


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_names_neither_a_machine_nor_a_package_host(path: Path) -> None:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return  # a picture names nothing
    assert not MACHINE_PATHS.search(text), f"{name_of(path)} holds a path of somebody's machine"
    assert not HOSTS_OF_PACKAGES.search(text), f"{name_of(path)} names a package host"


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
