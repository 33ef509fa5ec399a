"""The numbers as tables for a person and as JSON for a program; it measures nothing."""

from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from tests.benchmarks.crowded import AIM, Crowded
from tests.benchmarks.followed import Followed
from tests.benchmarks.inline import Inline
from tests.benchmarks.measure import Beside, Filled, Memory, Shape, Work
from tests.benchmarks.projected import Projected
from tests.benchmarks.reacted import Reacted
from tests.benchmarks.replayed import Replayed
from tests.benchmarks.search import AIM_SECONDS, Search
from tests.benchmarks.troubled import Troubled

THROUGHPUT_AIM = 0.6
LATENCY_AIM = 1.5
TROUBLE_AIM = 1.2
FOLDING_AIM = 500_000
PROJECTION_AIM = 0.5


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
    if one.shapes:
        console.print(_shapes(one.shapes))
    if one.filled is not None:
        console.print(_filled(one.filled))
    if one.troubled is not None:
        console.print(_troubled(one.troubled))
    if one.followed is not None:
        console.print(_followed(one.followed))
    if one.replayed is not None:
        console.print(_replayed(one.replayed))
    if one.projected is not None:
        console.print(_projected(one.projected))
    if one.inline is not None:
        console.print(_inline(one.inline))
    if one.reacted is not None:
        console.print(_reacted(one.reacted))
    if one.search is not None:
        console.print(_search(one.search))
    if one.commands is not None:
        console.print(_commands(one.commands))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2))
    table.add_column("", min_width=34)
    for column in columns:
        table.add_column(column, justify="right", min_width=12)
    return table


def _throughput(work: Work, memory: Memory | None) -> Table:
    beside, sagas = work.throughput, work.sagas
    floor = beside.floor
    title = f"{sagas} three-step sagas started at once, {len(beside.engine.seconds)} rounds in turns"
    table = _table(title, "engine", "floor", "ratio", "aim")
    for name, engine, plain in (
        ("sagas/s, median", beside.engine.median, floor.median),
        ("sagas/s, best", beside.engine.best, floor.best),
    ):
        aim = f">= {THROUGHPUT_AIM}" if "median" in name else ""
        table.add_row(name, f"{sagas / engine:,.0f}", f"{sagas / plain:,.0f}", f"{plain / engine:.2f}", aim)
    for other in beside.floors:
        note = "  (the floor)" if other is floor else ""
        table.add_row(f"  {other.name}{note}", "", f"{sagas / other.median:,.0f}", "", "")
    table.add_row("events per saga", f"{work.events_per_saga:g}", "", "", "")
    table.add_row("commits per saga", f"{work.commits_per_saga:.3f}", "0.010", "", "")
    table.add_row("bytes per saga", f"{work.bytes_per_saga:,.0f}", "", "", "")
    if memory is not None:
        table.add_row("peak memory, MB", f"{memory.most:,.0f}", "", "", "")
        table.add_row("  before the first saga, MB", f"{memory.before:,.0f}", "", "", "")
    return table


def _idle(beside: Beside) -> Table:
    floor = beside.floor
    number = len(beside.engine.seconds)
    table = _table(
        f"one saga at a time, {number} of them: start until result, in ms", "engine", "floor", "ratio", "aim"
    )
    engine = beside.engine
    table.add_row("p50", _ms(engine.median), _ms(floor.median), f"{beside.ratio:.2f}", f"<= {LATENCY_AIM}")
    table.add_row("p99", _ms(engine.p99), _ms(floor.p99), f"{engine.p99 / floor.p99:.2f}", "")
    for other in beside.floors:
        note = "  (the floor: four plain commits)" if other is floor else ""
        table.add_row(f"  {other.name}{note}", "", _ms(other.median), "", "")
    return table


def _shapes(shapes: list[Shape]) -> Table:
    table = _table(f"other shapes, {shapes[0].sagas} sagas at once, best of 3", "us per step", "steps/s", "to 3 steps")
    first = shapes[0].times.best / shapes[0].steps
    for shape in shapes:
        each = shape.times.best / shape.steps
        steps = shape.sagas / each
        table.add_row(shape.name, f"{each / shape.sagas * 1e6:,.0f}", f"{steps:,.0f}", f"{each / first:.2f}")
    return table


def _filled(filled: Filled) -> Table:
    title = f"with {filled.finished:,} finished sagas in the tables (loaded in {filled.loading:.0f} s), medians in ms"
    table = _table(title, "empty", "full", "full/empty", "plain, full")
    for number, (name, empty, full) in enumerate(filled.pairs):
        plain = _ms(filled.floor.median) if number == 0 else ""
        table.add_row(name, _ms(empty.median), _ms(full.median), f"{full.median / empty.median:.2f}", plain)
    return table


def _troubled(found: Troubled) -> Table:
    title = f"one saga every few ms beside {found.number:,} that are stuck or failing, in ms"
    table = _table(title, "beside none", "in trouble", "ratio", "aim")
    calm, other = found.calm, found.troubled
    table.add_row("p50", _ms(calm.median), _ms(other.median), f"{other.median / calm.median:.2f}", "")
    table.add_row("p99", _ms(calm.p99), _ms(other.p99), f"{other.p99 / calm.p99:.2f}", f"<= {TROUBLE_AIM}")
    return table


def _followed(found: Followed) -> Table:
    table = _table(f"following an application with {found.events:,} events waiting", "events/s, median", "best")
    for _, times in found.batches:
        table.add_row(times.name, f"{found.events / times.median:,.0f}", f"{found.events / times.best:,.0f}")
    return table


def _search(found: Search) -> Table:
    title = f"looking among {found.sagas:,} sagas (loaded in {found.loading:.0f} s), in ms; aim: {AIM_SECONDS * 1e3:g}"
    table = _table(title, "median", "worst", "")
    for times in found.asked:
        late = "over" if times.median > AIM_SECONDS else ""
        table.add_row(times.name, _ms(times.median), _ms(max(times.seconds)), late)
    return table


def _commands(found: Crowded) -> Table:
    title = f"commands among {found.few:,} and {found.number:,} sagas (loaded in {found.loading:.0f} s), best in ms"
    table = _table(title, "few", "many", "ratio", "aim")
    table.add_column("why")
    for one in found.commands:
        aim = "" if one.grows else f"<= {AIM}"
        table.add_row(one.many.name, _ms(one.few.best), _ms(one.many.best), f"{one.ratio:.2f}", aim, one.grows)
    table.add_row("memory at most, MB", "", f"{found.most:,.0f}", "", "")
    return table


def _replayed(found: Replayed) -> Table:
    title = f"replaying {found.sagas:,} histories of {found.events:,} events altogether"
    table = _table(title, "events/s, median", "best", "aim")
    for times in found.ways:
        aim = f">= {FOLDING_AIM:,}" if times.name == "fold" else ""
        table.add_row(times.name, f"{found.events / times.median:,.0f}", f"{found.events / times.best:,.0f}", aim)
    return table


def _projected(found: Projected) -> Table:
    beside, events = found.asynchronous, found.events
    title = f"a new projection of {events:,} events, {len(beside.engine.seconds)} rounds in turns"
    table = _table(title, "engine", beside.floor.name, "ratio", "aim")
    for name, engine, plain in (
        ("events/s, median", beside.engine.median, beside.floor.median),
        ("events/s, best", beside.engine.best, beside.floor.best),
    ):
        aim = f">= {PROJECTION_AIM}" if "median" in name else ""
        table.add_row(name, f"{events / engine:,.0f}", f"{events / plain:,.0f}", f"{plain / engine:.2f}", aim)
    return table


def _inline(found: Inline) -> Table:
    title = f"an inline projection, {len(found.idle.engine.seconds)} rounds in turns"
    table = _table(title, "inline", "without", "ratio")
    for name, beside, sagas in (
        (f"{found.sagas:,} sagas at once, sagas/s", found.at_once, found.sagas),
        ("one after the other, sagas/s", found.idle, found.idle_sagas),
    ):
        engine, plain = beside.engine.median, beside.floor.median
        table.add_row(name, f"{sagas / engine:,.0f}", f"{sagas / plain:,.0f}", f"{plain / engine:.2f}")
    return table


def _reacted(found: Reacted) -> Table:
    rounds = len(found.deaf.seconds)
    table = _table(f"reacting to a log of {found.log:,} events, {rounds} rounds in turns", "notes", "messages", "ratio")
    for way in found.ways:
        notes, messages = way.beside.engine.median, way.beside.floor.median
        name = f"{way.name}, events/s"
        table.add_row(name, f"{way.events / notes:,.0f}", f"{way.events / messages:,.0f}", f"{messages / notes:.2f}")
    table.add_row("read, and nothing heard, events/s", f"{found.log / found.deaf.median:,.0f}", "", "")
    return table


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.2f}"
