"""The command line for tests: run in this process, without a terminal, and without the caller's environment."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from click.testing import CliRunner

from sagalog.cli import main

ROOT = Path(__file__).parents[3]
# What a person may have set for themselves must not change what a test sees.
UNSET = ("SAGALOG_DB", "SAGALOG_APP", "SHOP_DB", "SHOP_BROKER", "NO_COLOR", "FORCE_COLOR", "COLUMNS")
APP = """
from contextlib import contextmanager
from sagas.greeting import greet

sagas = [greet()]

@contextmanager
def services():
    yield {}
"""


class Ran(NamedTuple):
    """How a command line ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Return what was written to stdout, line by line."""
        return self.out.splitlines()


def sagalog(
    *words: str, given: str | bytes = "", environment: Mapping[str, str] | None = None, shop: Path | None = None
) -> Ran:
    """Run `sagalog ...`; `shop` is a folder with the database of a finished demo, and then the app is the shop."""
    settings: dict[str, str | None] = dict.fromkeys(UNSET)
    before: list[str] = []
    if shop is not None:
        settings |= {"SHOP_DB": str(shop / "demo-shop.db")}
        before = ["--db", str(shop / "demo.db"), "--app-dir", str(ROOT)]
    result = CliRunner().invoke(
        main, [*before, *words], input=given, env=settings | dict(environment or {}), prog_name="sagalog"
    )
    return Ran(result.exit_code, result.stdout, result.stderr)


def program(*words: str) -> Sequence[str]:
    """Return the command that runs the same in a process of its own."""
    return [sys.executable, "-c", "from sagalog.cli import main; main(prog_name='sagalog')", *words]


def write_app(folder: Path, name: str, source: str = APP) -> str:
    """Write an app into a folder and return its name, which must be new in this process."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(source, "utf-8")
    return name
