"""Measure this tree against an earlier commit, in turns: `python -m tests.benchmarks.against <commit> [--part ...]`.

Both are measured by the benchmark of this tree, each part in turns: the earlier library, ours, the earlier one again,
each in a process of its own. So what disturbs the machine disturbs both; and the floors, which are the same, show how
much it did. Whatever else is given goes to the benchmark, such as `--rounds 3` or `--quick`.
"""

import argparse
import io
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from tests.benchmarks.figures import Figure, figures
from tests.benchmarks.parts import BY_DEFAULT, PARTS

ROOT = Path(__file__).parents[2]
STORES = ("sqlite", "postgres")
LAST_LINES = 20

Measured = dict[str, Figure]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure both as often as the options ask for, and print the medians and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", help="the earlier commit, as git calls it")
    parser.add_argument("--turns", type=int, default=3, help="how often each is measured (3)")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; repeatable")
    parser.add_argument("--store", action="append", choices=STORES, help="only this one; repeatable")
    options, others = parser.parse_known_args(arguments)
    console = Console() if Console().is_terminal else Console(width=140)
    old: list[Measured] = [{} for _ in range(options.turns)]
    new: list[Measured] = [{} for _ in range(options.turns)]
    with tempfile.TemporaryDirectory(prefix="sagalog-against-") as folder:
        earlier = Path(folder) / "earlier"
        _check_out(options.commit, earlier)
        for store, name in product(options.store or STORES, options.part or [part.name for part in BY_DEFAULT]):
            if store not in PARTS[name].stores:
                continue
            for turn, (library, found) in product(range(options.turns), ((earlier / "src", old), (ROOT / "src", new))):
                asked = [f"--store={store}", f"--part={name}", *others]
                found[turn].update(_measure(library, Path(folder), asked))
            console.print(f"{store}, {name}: measured")
    console.print(_table(options.commit, old, new))
    return 0


def _check_out(commit: str, folder: Path) -> None:
    """Put the library of a commit into a folder; the repository itself is left as it is."""
    archive = subprocess.run(["git", "archive", commit, "src"], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        raise SystemExit(f"error: {commit}: {archive.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")


def _measure(library: Path, folder: Path, arguments: Sequence[str]) -> Measured:
    """Run this tree's benchmark on a library, in a new process, and return all figures."""
    file = folder / "figures.json"
    path = os.pathsep.join(map(str, (library, ROOT, ROOT / "tests" / "support")))
    ran = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.bench", "--bare", f"--json={file}", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        last = "\n".join(ran.stderr.splitlines()[-LAST_LINES:])
        raise SystemExit(f"error: the benchmark did not run on {library}:\n{last}")
    return {
        figure.name: figure
        for store in msgspec.json.decode(file.read_bytes())
        for figure in figures(store, store["store"])
    }


def _table(commit: str, old: Sequence[Measured], new: Sequence[Measured]) -> Table:
    title = f"this tree against {commit}, medians of {len(old)} turns; times in ms, less is better but for a share"
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2))
    made.add_column("")
    for column in (commit[:12], "this tree", "ratio", "in single turns"):
        made.add_column(column, justify="right")
    for name, figure in old[0].items():
        before = [turn[name].value for turn in old if name in turn]
        after = [turn[name].value for turn in new if name in turn]
        if len(before) == len(after) == len(old):
            made.add_row(name, *_compared(figure, before, after))
    return made


def _compared(figure: Figure, before: Sequence[float], after: Sequence[float]) -> Iterable[str]:
    medians = statistics.median(before), statistics.median(after)
    yield from (f"{one * 1e3:,.2f}" if figure.unit == "s" else f"{one:,.3g}" for one in medians)
    ratios = sorted(late / early for early, late in zip(before, after, strict=True) if early)
    if medians[0] and ratios:
        yield f"{medians[1] / medians[0]:.2f}"
        yield f"{ratios[0]:.2f} to {ratios[-1]:.2f}"


if __name__ == "__main__":
    sys.exit(main())
