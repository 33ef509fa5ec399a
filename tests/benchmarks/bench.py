"""Measure the engine against the floor (the same rows by the plain driver) on SQLite and PostgreSQL: `make bench`.

Nothing is judged here: the exit code is 0 unless it could not run. Each part runs on databases of its own and, unless
it has to be quick, in a process of its own.
"""

import argparse
import asyncio
import gc
import logging
import multiprocessing
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from rich.console import Console
from servers.postgres_server import open_server

from tests.benchmarks.databases import Database, PostgresDatabase, SQLiteDatabase
from tests.benchmarks.measure import Sizes
from tests.benchmarks.parts import BY_DEFAULT, ON_REQUEST, PARTS, Part, Way

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
    waiting=500,
    scaled=200,
    polled=500,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the options ask for and print it."""
    options = _options(arguments)
    sizes = QUICK if options.quick else Sizes()
    given = {name: getattr(options, name) for name in Sizes.__struct_fields__}
    sizes = replace(sizes, **{name: value for name, value in given.items() if value is not None})
    parts = [PARTS[name] for name in options.part] if options.part else BY_DEFAULT
    with tempfile.TemporaryDirectory(prefix="sagalog-bench-", dir=options.folder) as folder, ExitStack() as stack:
        for_each_store = (
            _measure(store, stack, Path(folder), parts, sizes, _run if options.quick else _alone)
            for store in options.store or ("sqlite", "postgres")
        )
        if options.bare:
            options.json.write_bytes(msgspec.json.encode(list(for_each_store)))
        else:
            _report(for_each_store, options.json)
    return 0


def _report(for_each_store: Iterable[dict[str, Any]], file: Path | None) -> None:
    # Not at the top: it knows what every part finds, and so needs the modules of all.
    from tests.benchmarks.report import Measured, as_json, show

    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    header = _machine()
    console.print(", ".join(f"{name} {value}" for name, value in header.items()))
    measured: list[Measured] = []
    for found in for_each_store:
        measured.append(Measured(**found))
        show(console, measured[-1])
    if file is not None:
        file.write_bytes(as_json(header, measured))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    rest = ", ".join(part.name for part in ON_REQUEST)
    listed = f"only this part; repeatable: {', '.join(part.name for part in BY_DEFAULT)}; and on request {rest}"
    parser.add_argument("--store", action="append", choices=("sqlite", "postgres"), help="only this one; repeatable")
    parser.add_argument("--part", action="append", choices=PARTS, metavar="PART", help=listed)
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
    parser.add_argument("--waiting", type=int, help="sagas that wait in one worker (10000)")
    parser.add_argument("--scaled", type=int, help="sagas that several processes share (2000)")
    parser.add_argument(
        "--polled", type=int, help="open sagas that a worker must not look at (10000), ten times finished"
    )
    parser.add_argument("--search", type=int, help="sagas among which one is looked for (100000; a million by hand)")
    parser.add_argument("--crowd", type=int, help="sagas among which commands are run (110000; 1100000 by hand)")
    parser.add_argument("--folder", type=Path, help="where the SQLite files are made: the disk that is measured")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number to FILE")
    parser.add_argument("--bare", action="store_true", help="print nothing; for a program that compares, with --json")
    options = parser.parse_args(arguments)
    if options.bare and options.json is None:
        parser.error("--bare: expected --json FILE, too")
    return options


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
    store: str, stack: ExitStack, folder: Path, parts: Sequence[Part], sizes: Sizes, run: Callable[..., Any]
) -> dict[str, Any]:
    """Return what the parts found on one store, by the names of the report."""
    fresh = _files(folder) if store == "sqlite" else _databases(stack)
    found: dict[str, Any] = {"store": store, "settings": next(fresh).settings()}
    for part in parts:
        if store not in part.stores:
            continue
        for way in part.ways:
            one = run(part, way, *(next(fresh) for _ in range(part.databases)), sizes)
            if part.is_one_of_many:
                found.setdefault(part.field, []).append(one)
            else:
                found[part.field] = one
    return found


def _alone(part: Part, way: Way, *arguments: Any) -> Any:
    """Run one part in a new process, so that none warms or burdens another, and return what it measured."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process:
        return process.submit(_run, part, way, *arguments).result()


def _run(part: Part, way: Way, *arguments: Any) -> Any:
    # The samples contain refused sagas, which the engine warns about as it should.
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    # As `sagalog run` does, said again here: an earlier version of the library is measured likewise.
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(0.001)
    try:
        loop = None if part.loop is None else part.loop.found()
        with asyncio.Runner(loop_factory=loop) as runner:
            return runner.run(way.found()(*arguments))
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
