"""The tables of the kinds of work, and of what is asked about one thing; it measures nothing."""

from collections.abc import Sequence

from rich.table import Table

from tests.benchmarks.each_kind import OfAKind
from tests.benchmarks.paced import Paced
from tests.benchmarks.passes import Passes
from tests.benchmarks.scale import Scale
from tests.benchmarks.threads import Threads
from tests.benchmarks.waiting import Waiting
from tests.benchmarks.written import Written

THREADS_AIM = 0.5


def table(title: str, *columns: str) -> Table:
    """Return an empty table: names on the left, numbers on the right."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2))
    made.add_column("", min_width=30)
    for column in columns:
        made.add_column(column, justify="right", min_width=10)
    return made


def ms(seconds: float) -> str:
    """Return seconds as milliseconds."""
    return f"{seconds * 1e3:,.2f}"


def of_kinds(kinds: Sequence[OfAKind]) -> Table:
    """Return what each kind of work took, beside its own floor."""
    first = kinds[0]
    title = (
        f"{first.number:,} at once of each kind of work, {len(first.beside.engine.seconds)} rounds in turns, medians"
    )
    made = table(title, "engine, 1/s", "floor, 1/s", "ratio", "cpu, us", "floor, us", "rows")
    for kind in kinds:
        engine, floor = kind.beside.engine.median, kind.beside.floor.median
        rows = sum(kind.writes.values())
        made.add_row(
            f"{kind.part}, each {kind.one}",
            f"{kind.number / engine:,.0f}",
            f"{kind.number / floor:,.0f}",
            f"{floor / engine:.2f}",
            # Of this process alone: a server's is not among it.
            f"{kind.processor.engine.median / kind.number * 1e6:,.0f}",
            f"{kind.processor.floor.median / kind.number * 1e6:,.0f}",
            f"{rows:g}",
        )
    return made


def of_passes(found: Sequence[Passes]) -> Table:
    """Return how long the event loop was held up."""
    first = found[0]
    title = f"the event loop's passes, {first.number:,} at once, {len(first.longest.seconds)} rounds, in ms"
    made = table(title, "longest, median", "worst", "processor", "in > 10 ms")
    for one in found:
        share = sorted(one.in_long_ones)[len(one.in_long_ones) // 2]
        made.add_row(
            one.part,
            ms(one.longest.median),
            ms(max(one.longest.seconds)),
            ms(one.processor.median),
            f"{share:.0%}",
        )
    return made


def of_paced(found: Paced) -> Table:
    """Return how long one saga took beside waves of others."""
    title = f"one saga every 5 ms beside {found.number:,} that run at once, wave after wave, in ms"
    made = table(title, "alone", "beside them", "ratio")
    alone, beside = found.alone, found.beside
    made.add_row("p50", ms(alone.median), ms(beside.median), f"{beside.median / alone.median:.1f}")
    made.add_row("p99", ms(alone.p99), ms(beside.p99), f"{beside.p99 / alone.p99:.1f}")
    return made


def of_threads(found: Threads) -> Table:
    """Return what plain functions took, beside async ones."""
    title = f"{found.number:,} three-step sagas of plain functions, which run in threads, sagas/s"
    made = table(title, "plain", "async", "ratio", "aim")
    plain, native = found.beside.engine.median, found.beside.floor.median
    ratio = f"{native / plain:.2f}"
    made.add_row("median", f"{found.number / plain:,.0f}", f"{found.number / native:,.0f}", ratio, f">= {THREADS_AIM}")
    return made


def of_written(found: Sequence[Written]) -> Table:
    """Return what one saga makes a database write."""
    made = table("written for one saga", "bytes", "of the floor", "commits", "with reads")
    for one in found:
        made.add_row(f"{one.part}:")
        for name, spent in (
            ("one after the other", one.alone),
            (f"{one.number:,} at once", one.at_once),
            ("the floor", one.floor),
        ):
            everything = "" if spent.transactions is None else f"{spent.transactions:.3f}"
            share = f"{spent.bytes / one.floor.bytes:.2f}"
            made.add_row(f"  {name}", f"{spent.bytes:,.0f}", share, f"{spent.commits:.3f}", everything)
    return made


def of_waiting(found: Sequence[Waiting]) -> Table:
    """Return the memory of a saga that waits."""
    first = found[0]
    title = f"bytes of a saga that waits, of {first.number:,} (traced: {first.traced_number:,})"
    made = table(title, "resident", "traced")
    for one in found:
        made.add_row(one.says, f"{one.resident:,.0f}", f"{one.traced:,.0f}")
    return made


def of_scale(found: Scale) -> Table:
    """Return what several workers did together."""
    title = f"{found.number:,} three-step sagas, by worker processes, sagas/s"
    made = table(title, "from all", "to one", "from one", "to one")
    first = found.by_workers[0]
    for one in found.by_workers:
        cells: list[str] = []
        for times, alone in ((one.in_all, first.in_all), (one.in_one, first.in_one)):
            cells += [f"{found.number / times.median:,.0f}", f"{alone.median / times.median:.2f}"]
        made.add_row(f"{one.workers} worker{'s' if one.workers > 1 else ''}", *cells)
    return made
