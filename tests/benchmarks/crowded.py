"""How long each command takes among very many sagas, beside a database with few. It prints nothing."""

import asyncio
import contextlib
import math
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from databases.crowd import crowd
from databases.crowded import Line, lines
from databases.stores import opened
from msgspec import Struct
from pages.command_line import ROOT

from sagalog.cli import main
from sagalog.cli.failures import UNAVAILABLE
from tests.benchmarks.databases import Database
from tests.benchmarks.measure import Series, Sizes

# So many sagas fill every page that is shown.
FEW = 2_200
AIM = 1.5
CALLS = 15
# A command that takes longer is run once.
LONG_SECONDS = 1.0


class Command(Struct):
    """A command line, how long it took among few and among many sagas, and why it may take longer among many."""

    few: Series
    many: Series
    grows: str

    @property
    def ratio(self) -> float:
        return self.many.best / self.few.best


class Crowded(Struct):
    """Every command among few and among many sagas; `most` is the largest memory of the process, in MB."""

    number: int
    few: int
    loading: float
    commands: list[Command]
    most: float


async def crowded(few: Database, many: Database, sizes: Sizes) -> Crowded:
    """Fill two databases and run every command on both, in turns."""
    # Commands have loops of their own.
    return await asyncio.to_thread(_crowded, few, many, sizes)


def _crowded(few: Database, many: Database, sizes: Sizes) -> Crowded:
    crowd(few.address, FEW)
    began = time.perf_counter()
    crowd(many.address, sizes.crowd)
    loading = time.perf_counter() - began
    with opened(few.address) as one, opened(many.address) as other:
        asked = list(zip(lines(one, FEW), lines(other, sizes.crowd), strict=True))
    found: list[Command] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for small, large in asked:
            times = (Series(_title(large), []), Series(_title(large), []))
            for _ in range(CALLS if sizes.crowd > FEW else 1):
                _timed(few.address, small, times[0])
                _timed(many.address, large, times[1])
                if times[1].best > LONG_SECONDS:
                    break
            found.append(Command(*times, large.grows))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Crowded(sizes.crowd, FEW, loading, found, memory)


def _title(line: Line) -> str:
    return " ".join(
        _shortened(word) for word in line.words if word not in ("--actor", "ada", "--reason", "ticket 4711")
    )


def _shortened(word: str) -> str:
    return "ID" if word.count("-") == 4 else word if len(word) < 30 else f"{word[:28]}..."


def _timed(address: str, line: Line, times: Series) -> None:
    words = ["--db", address, "--app-dir", str(ROOT), "--app", "domain", *line.words]
    os.environ["SHOP_DB"] = str(Path("shop.db").absolute())
    began = time.perf_counter()
    code = _run(words)
    seconds = time.perf_counter() - began
    # A statement that looks through very much may be ended by the database, and the command says so.
    times.seconds.append(math.inf if line.grows and code == UNAVAILABLE else seconds)
    if math.isfinite(times.seconds[-1]) and code != line.code and (line.code != -1 or code not in (0, 1, 4)):
        raise RuntimeError(f"{words} ended with {code}")


def _run(words: Sequence[str]) -> int:
    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        stack.enter_context(contextlib.redirect_stdout(nowhere))
        stack.enter_context(contextlib.redirect_stderr(nowhere))
        try:
            main.main(list(words))
        except SystemExit as ended:
            return int(ended.code or 0)
    return 0
