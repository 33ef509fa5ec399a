"""Runs mypy and pyright on a file of misuses and on one of correct uses; it changes neither."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MISUSE = HERE / "misuse.py"
CORRECT_USE = HERE / "correct_use.py"

REFUSED_BY_MYPY = re.compile(r"^(?P<file>[^:]+):(?P<line>\d+):(?P<column>\d+:)? error: ", re.MULTILINE)


def marked_lines() -> set[int]:
    lines = MISUSE.read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(lines, 1) if "# refused" in line}


@pytest.fixture(scope="module")
def by_mypy() -> dict[str, set[int]]:
    """The lines of each file that mypy refuses."""
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(MISUSE), str(CORRECT_USE)]
    asked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert asked.returncode in (0, 1), asked.stdout + asked.stderr
    found: dict[str, set[int]] = {MISUSE.name: set(), CORRECT_USE.name: set()}
    for match in REFUSED_BY_MYPY.finditer(asked.stdout):
        found.setdefault(Path(match["file"]).name, set()).add(int(match["line"]))
    return found


@pytest.fixture(scope="module")
def by_pyright(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[int]]:
    """The lines of each file that pyright refuses, in strict mode; the project's own configuration excludes misuses."""
    folder = tmp_path_factory.mktemp("pyright")
    for file in (MISUSE, CORRECT_USE):
        (folder / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    settings = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": [str(ROOT / "src")]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    asked = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert asked.returncode in (0, 1), asked.stdout + asked.stderr
    report = json.loads(asked.stdout)
    assert report["summary"]["filesAnalyzed"] == 2, asked.stdout
    found: dict[str, set[int]] = {MISUSE.name: set(), CORRECT_USE.name: set()}
    for problem in report["generalDiagnostics"]:
        if problem["severity"] == "error":
            found[Path(problem["file"]).name].add(problem["range"]["start"]["line"] + 1)
    return found


def test_the_misuses_are_many() -> None:
    assert len(marked_lines()) > 40


# One test a checker: with more, two workers would each run both checkers.
def test_mypy_refuses_each_misuse_and_nothing_else_and_accepts_correct_use(by_mypy: dict[str, set[int]]) -> None:
    assert (by_mypy[MISUSE.name], by_mypy[CORRECT_USE.name]) == (marked_lines(), set[int]())


def test_pyright_refuses_each_misuse_and_nothing_else_and_accepts_correct_use(by_pyright: dict[str, set[int]]) -> None:
    assert (by_pyright[MISUSE.name], by_pyright[CORRECT_USE.name]) == (marked_lines(), set[int]())
