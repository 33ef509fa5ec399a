"""Measure the engine against the floor (the same rows by the plain driver) on SQLite and PostgreSQL: `make bench`.

Nothing is judged here: the exit code is 0 unless it could not run. Each part runs on databases of its own and, unless
it has to be quick, in a process of its own.
"""

import argparse
import asyncio
import logging
import multiprocessing
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from rich.console import Console
from servers.postgres_server import open_server

from tests.benchmarks import measure
from tests.benchmarks.crowded import crowded
from tests.benchmarks.databases import Database, PostgresDatabase, SQLiteDatabase
from tests.benchmarks.followed import followed
from tests.benchmarks.inline import inline
from tests.benchmarks.measure import Shape, Sizes
from tests.benchmarks.projected import projected
from tests.benchmarks.reacted import reacted
from tests.benchmarks.replayed import replayed
from tests.benchmarks.report import Measured, as_json, show
from tests.benchmarks.search import search
from tests.benchmarks.troubled import troubled

PARTS = (
    "work",
    "memory",
    "shapes",
    "finished",
    "troubled",
    "followed",
    "search",
    "commands",
    "replayed",
    "projected",
    "inline",
    "reacted",
)
QUICK = Sizes(
    sagas=300,
    rounds=3,
    idle=60,
    finished=3000,
    long=20,
    troubled=100,
    followed=1000,
    search=1000,
    crowd=2200,
    replayed=500,
    projected=500,
    reacted=300,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the options ask for and print it."""
    options = _options(arguments)
    sizes = QUICK if options.quick else Sizes()
    given = {name: getattr(options, name) for name in Sizes.__struct_fields__}
    sizes = replace(sizes, **{name: value for name, value in given.items() if value is not None})
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    header = _machine()
    console.print(", ".join(f"{name} {value}" for name, value in header.items()))
    measured: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="sagalog-bench-", dir=options.folder) as folder, ExitStack() as stack:
        for store in options.store or ("sqlite", "postgres"):
            fresh = _files(Path(folder)) if store == "sqlite" else _databases(stack)
            one = _measure(store, fresh, options.part or PARTS, sizes, _run if options.quick else _alone)
            show(console, one)
            measured.append(one)
    if options.json is not None:
        options.json.write_bytes(as_json(header, measured))
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", action="append", choices=("sqlite", "postgres"), help="only this one; repeatable")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; repeatable")
    parser.add_argument("--quick", action="store_true", help="small numbers: shows that it runs, not how fast")
    parser.add_argument("--sagas", type=int, help="sagas started at once (1000)")
    parser.add_argument("--rounds", type=int, help="rounds of engine and floor in turns (9)")
    parser.add_argument("--idle", type=int, help="sagas run one at a time (300)")
    parser.add_argument("--finished", type=int, help="finished sagas in the full database (100000)")
    parser.add_argument("--long", type=int, help="sagas of 3, 30 and 300 steps (100)")
    parser.add_argument("--troubled", type=int, help="stuck or failing sagas beside the others (1000)")
    parser.add_argument("--followed", type=int, help="events of an application that wait to be followed (10000)")
    parser.add_argument("--replayed", type=int, help="finished sagas whose histories are replayed (20000)")
    parser.add_argument("--projected", type=int, help="finished sagas whose events a new projection reads (10000)")
    parser.add_argument("--reacted", type=int, help="finished sagas that a new participant hears of (5000)")
    parser.add_argument("--search", type=int, help="sagas among which one is looked for (100000; a million by hand)")
    parser.add_argument("--crowd", type=int, help="sagas among which commands are run (110000; 1100000 by hand)")
    parser.add_argument("--folder", type=Path, help="where the SQLite files are made: the disk that is measured")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number to FILE")
    return parser.parse_args(arguments)


def _files(folder: Path) -> Iterator[Database]:
    number = 0
    while True:
        number += 1
        yield SQLiteDatabase(folder / f"{number}.db")


def _databases(stack: ExitStack) -> Iterator[Database]:
    server = stack.enter_context(open_server())
    while True:
        yield PostgresDatabase(stack.enter_context(server.database()))


def _measure(
    store: str, fresh: Iterator[Database], parts: Sequence[str], sizes: Sizes, run: Callable[..., Any]
) -> Measured:
    # First, because a new process counts the memory of the one that made it.
    memory = run(measure.memory, next(fresh), sizes) if "memory" in parts else None
    first = next(fresh)
    work = run(measure.design_work, first, next(fresh), sizes) if "work" in parts else None
    shapes: list[Shape] = run(measure.shapes, next(fresh), sizes) if "shapes" in parts else []
    filled = run(measure.filled, next(fresh), next(fresh), sizes) if "finished" in parts else None
    beside = run(troubled, next(fresh), next(fresh), sizes) if "troubled" in parts else None
    backlog = run(followed, next(fresh), next(fresh), sizes) if "followed" in parts else None
    found = run(search, next(fresh), sizes) if "search" in parts else None
    commands = run(crowded, next(fresh), next(fresh), sizes) if "commands" in parts else None
    again = run(replayed, next(fresh), sizes) if "replayed" in parts else None
    rows = run(projected, next(fresh), next(fresh), sizes) if "projected" in parts else None
    price = run(inline, next(fresh), next(fresh), sizes) if "inline" in parts else None
    heard = run(reacted, next(fresh), next(fresh), next(fresh), sizes) if "reacted" in parts else None
    return Measured(
        *(store, first.settings(), work, memory, shapes, filled, beside, backlog),
        *(found, commands, again, rows, price, heard),
    )


def _alone(part: Callable[..., Any], *arguments: Any) -> Any:
    """Run one part in a new process, so that none warms or burdens another, and return what it measured."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process:
        return process.submit(_run, part, *arguments).result()


def _run(part: Callable[..., Any], *arguments: Any) -> Any:
    # The samples contain refused sagas, which the engine warns about as it should.
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        return asyncio.run(part(*arguments))
    finally:
        logging.disable(before)


def _machine() -> dict[str, str]:
    return {
        "processor": _processor(),
        "processors": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    sys.exit(main())
