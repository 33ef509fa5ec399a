"""The numbers as tables for a person and as JSON for a program; it measures nothing."""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from tests.benchmarks import tables
from tests.benchmarks.crowded import AIM, Crowded
from tests.benchmarks.each_kind import OfAKind
from tests.benchmarks.followed import Followed
from tests.benchmarks.inline import Inline
from tests.benchmarks.measure import Beside, Filled, Memory, Shape, Work
from tests.benchmarks.paced import Paced
from tests.benchmarks.passes import Passes
from tests.benchmarks.polled import Polled
from tests.benchmarks.projected import Projected
from tests.benchmarks.reacted import Reacted
from tests.benchmarks.replayed import Replayed
from tests.benchmarks.scale import Scale
from tests.benchmarks.search import AIM_SECONDS, Search
from tests.benchmarks.tables import ms, table
from tests.benchmarks.threads import Threads
from tests.benchmarks.troubled import Troubled
from tests.benchmarks.waiting import Waiting
from tests.benchmarks.written import Written

THROUGHPUT_AIM = 0.6
LATENCY_AIM = 1.5
TROUBLE_AIM = 1.2
FOLDING_AIM = 500_000
PROJECTION_AIM = 0.5
POLL_AIM = 1.5


class Measured(Struct):
    """Everything that was measured on one store."""

    store: str
    settings: dict[str, str]
    work: Work | None = None
    memory: Memory | None = None
    shapes: list[Shape] = []
    filled: Filled | None = None
    troubled: Troubled | None = None
    followed: Followed | None = None
    search: Search | None = None
    commands: Crowded | None = None
    replayed: Replayed | None = None
    projected: Projected | None = None
    inline: Inline | None = None
    reacted: Reacted | None = None
    kinds: list[OfAKind] = []
    passes: list[Passes] = []
    paced: Paced | None = None
    threads: Threads | None = None
    written: list[Written] = []
    waiting: list[Waiting] = []
    scale: Scale | None = None
    polled: Polled | None = None


def as_json(header: dict[str, str], measured: list[Measured]) -> bytes:
    """Return all numbers, single rounds included, and the ratios that the tables show."""
    stores: list[dict[str, Any]] = []
    for one in measured:
        plain: dict[str, Any] = msgspec.to_builtins(one)
        if one.work is not None:
            plain["ratios"] = {
                "throughput, engine / floor": 1 / one.work.throughput.ratio,
                "idle latency, engine / floor": one.work.idle.ratio,
            }
        stores.append(plain)
    return msgspec.json.format(msgspec.json.encode({"machine": header, "stores": stores}), indent=2)


def show(console: Console, one: Measured) -> None:
    """Print the tables of one store."""
    console.rule(f"[bold]{one.store}[/]  " + ", ".join(f"{name} {value}" for name, value in one.settings.items()))
    if one.work is not None:
        console.print(_throughput(one.work, one.memory))
        console.print(_idle(one.work.idle))
    parts: list[tuple[Any, Callable[[Any], Table]]] = [
        (one.shapes, _shapes),
        (one.kinds, tables.of_kinds),
        (one.filled, _filled),
        (one.troubled, _troubled),
        (one.followed, _followed),
        (one.replayed, _replayed),
        (one.projected, _projected),
        (one.inline, _inline),
        (one.reacted, _reacted),
        (one.search, _search),
        (one.commands, _commands),
        (one.polled, partial(_polled, store=one.store)),
        (one.passes, tables.of_passes),
        (one.paced, tables.of_paced),
        (one.threads, tables.of_threads),
        (one.written, tables.of_written),
        (one.waiting, tables.of_waiting),
        (one.scale, tables.of_scale),
    ]
    for found, shown in parts:
        if found:
            console.print(shown(found))


def _throughput(work: Work, memory: Memory | None) -> Table:
    beside, sagas = work.throughput, work.sagas
    floor = beside.floor
    title = f"{sagas} three-step sagas started at once, {len(beside.engine.seconds)} rounds in turns"
    made = table(title, "engine", "floor", "ratio", "aim")
    for name, engine, plain in (
        ("sagas/s, median", beside.engine.median, floor.median),
        ("sagas/s, best", beside.engine.best, floor.best),
    ):
        aim = f">= {THROUGHPUT_AIM}" if "median" in name else ""
        made.add_row(name, f"{sagas / engine:,.0f}", f"{sagas / plain:,.0f}", f"{plain / engine:.2f}", aim)
    for other in beside.floors:
        note = "  (the floor)" if other is floor else ""
        made.add_row(f"  {other.name}{note}", "", f"{sagas / other.median:,.0f}", "", "")
    made.add_row("events per saga", f"{work.events_per_saga:g}", "", "", "")
    made.add_row("commits per saga", f"{work.commits_per_saga:.3f}", "0.010", "", "")
    made.add_row("bytes per saga", f"{work.bytes_per_saga:,.0f}", "", "", "")
    if memory is not None:
        made.add_row("peak memory, MB", f"{memory.most:,.0f}", "", "", "")
        made.add_row("  before the first saga, MB", f"{memory.before:,.0f}", "", "", "")
    return made


def _idle(beside: Beside) -> Table:
    floor = beside.floor
    number = len(beside.engine.seconds)
    made = table(f"one saga at a time, {number} of them: start until result, in ms", "engine", "floor", "ratio", "aim")
    engine = beside.engine
    made.add_row("p50", ms(engine.median), ms(floor.median), f"{beside.ratio:.2f}", f"<= {LATENCY_AIM}")
    made.add_row("p99", ms(engine.p99), ms(floor.p99), f"{engine.p99 / floor.p99:.2f}", "")
    for other in beside.floors:
        note = "  (the floor: four plain commits)" if other is floor else ""
        made.add_row(f"  {other.name}{note}", "", ms(other.median), "", "")
    return made


def _shapes(shapes: list[Shape]) -> Table:
    made = table(f"other shapes, {shapes[0].sagas} sagas at once, best of 3", "us per step", "steps/s", "to 3 steps")
    first = shapes[0].times.best / shapes[0].steps
    for shape in shapes:
        each = shape.times.best / shape.steps
        steps = shape.sagas / each
        made.add_row(shape.name, f"{each / shape.sagas * 1e6:,.0f}", f"{steps:,.0f}", f"{each / first:.2f}")
    return made


def _filled(filled: Filled) -> Table:
    title = f"with {filled.finished:,} finished sagas in the tables (loaded in {filled.loading:.0f} s), medians in ms"
    made = table(title, "empty", "full", "full/empty", "plain, full")
    for number, (name, empty, full) in enumerate(filled.pairs):
        plain = ms(filled.floor.median) if number == 0 else ""
        made.add_row(name, ms(empty.median), ms(full.median), f"{full.median / empty.median:.2f}", plain)
    return made


def _troubled(found: Troubled) -> Table:
    title = f"one saga every few ms beside {found.number:,} that are stuck or failing, in ms"
    made = table(title, "beside none", "in trouble", "ratio", "aim")
    calm, other = found.calm, found.troubled
    made.add_row("p50", ms(calm.median), ms(other.median), f"{other.median / calm.median:.2f}", "")
    made.add_row("p99", ms(calm.p99), ms(other.p99), f"{other.p99 / calm.p99:.2f}", f"<= {TROUBLE_AIM}")
    return made


def _followed(found: Followed) -> Table:
    made = table(f"following an application with {found.events:,} events waiting", "events/s, median", "best")
    for _, times in found.batches:
        made.add_row(times.name, f"{found.events / times.median:,.0f}", f"{found.events / times.best:,.0f}")
    return made


def _search(found: Search) -> Table:
    title = f"looking among {found.sagas:,} sagas (loaded in {found.loading:.0f} s), in ms; aim: {AIM_SECONDS * 1e3:g}"
    made = table(title, "median", "worst", "")
    for times in found.asked:
        late = "over" if times.median > AIM_SECONDS else ""
        made.add_row(times.name, ms(times.median), ms(max(times.seconds)), late)
    return made


def _polled(found: Polled, store: str) -> Table:
    counted = "steps" if store == "sqlite" else "pages"
    title = (
        f"what a worker asks of {store}, in microseconds: empty, and with {found.finished:,} finished and "
        f"{found.unfinished:,} open sagas (filled in {found.filling:.0f} s); aim: within {POLL_AIM:g} times"
    )
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 1))
    table.add_column("", no_wrap=True)
    for column in ("empty", "full", "ratio", counted, "full"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("found by", overflow="fold")
    for one in found.asked:
        times = (f"{one.empty * 1e6:,.0f}", f"{one.full * 1e6:,.0f}", f"{one.full / one.empty:.2f}")
        table.add_row(one.name, *times, f"{one.empty_effort:,}", f"{one.full_effort:,}", one.plan)
    return table


def _commands(found: Crowded) -> Table:
    title = f"commands among {found.few:,} and {found.number:,} sagas (loaded in {found.loading:.0f} s), best in ms"
    made = table(title, "few", "many", "ratio", "aim")
    made.add_column("why")
    for one in found.commands:
        aim = "" if one.grows else f"<= {AIM}"
        made.add_row(one.many.name, ms(one.few.best), ms(one.many.best), f"{one.ratio:.2f}", aim, one.grows)
    made.add_row("memory at most, MB", "", f"{found.most:,.0f}", "", "")
    return made


def _replayed(found: Replayed) -> Table:
    title = f"replaying {found.sagas:,} histories of {found.events:,} events altogether"
    made = table(title, "events/s, median", "best", "aim")
    for times in found.ways:
        aim = f">= {FOLDING_AIM:,}" if times.name == "fold" else ""
        made.add_row(times.name, f"{found.events / times.median:,.0f}", f"{found.events / times.best:,.0f}", aim)
    return made


def _projected(found: Projected) -> Table:
    beside, events = found.asynchronous, found.events
    title = f"a new projection of {events:,} events, {len(beside.engine.seconds)} rounds in turns"
    made = table(title, "engine", beside.floor.name, "ratio", "aim")
    for name, engine, plain in (
        ("events/s, median", beside.engine.median, beside.floor.median),
        ("events/s, best", beside.engine.best, beside.floor.best),
    ):
        aim = f">= {PROJECTION_AIM}" if "median" in name else ""
        made.add_row(name, f"{events / engine:,.0f}", f"{events / plain:,.0f}", f"{plain / engine:.2f}", aim)
    return made


def _inline(found: Inline) -> Table:
    title = f"an inline projection, {len(found.idle.engine.seconds)} rounds in turns"
    made = table(title, "inline", "without", "ratio")
    for name, beside, sagas in (
        (f"{found.sagas:,} sagas at once, sagas/s", found.at_once, found.sagas),
        ("one after the other, sagas/s", found.idle, found.idle_sagas),
    ):
        engine, plain = beside.engine.median, beside.floor.median
        made.add_row(name, f"{sagas / engine:,.0f}", f"{sagas / plain:,.0f}", f"{plain / engine:.2f}")
    return made


def _reacted(found: Reacted) -> Table:
    rounds = len(found.deaf.seconds)
    made = table(f"reacting to a log of {found.log:,} events, {rounds} rounds in turns", "notes", "messages", "ratio")
    for way in found.ways:
        notes, messages = way.beside.engine.median, way.beside.floor.median
        name = f"{way.name}, events/s"
        made.add_row(name, f"{way.events / notes:,.0f}", f"{way.events / messages:,.0f}", f"{messages / notes:.2f}")
    made.add_row("read, and nothing heard, events/s", f"{found.log / found.deaf.median:,.0f}", "", "")
    return made
