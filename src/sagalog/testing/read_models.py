"""For tests of projections: rows as a rebuild gives them, with handlers that may look at nothing but their events."""

import _random
import datetime as dt
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from sagalog.engine.projections.generations import ensure
from sagalog.engine.projections.handing import hand
from sagalog.engine.projections.projecting import Projecting
from sagalog.engine.projections.reading import Entry, LogReader
from sagalog.projections.declare import Projection
from sagalog.projections.schema import physical
from sagalog.projections.tables import Tables
from sagalog.store import Store
from sagalog.stores.projected import database_for
from sagalog.testing.clock import FakeClock

Rows = dict[str, list[dict[str, Any]]]

PAGE = 500
# Functions written in C that give a rebuild something else than the first time, by the module they are from.
_OUTSIDE: dict[str, frozenset[str] | None] = {
    "time": frozenset(
        (
            "time",
            "time_ns",
            "monotonic",
            "monotonic_ns",
            "perf_counter",
            "perf_counter_ns",
            "localtime",
            "gmtime",
            "sleep",
        )
    ),
    "posix": frozenset(("urandom", "getrandom", "open", "fork", "posix_spawn", "system", "getpid")),
    "nt": frozenset(("urandom", "open", "spawnv", "system", "getpid")),
    "_io": frozenset(("open",)),
    # As it says before Python 3.12.
    "io": frozenset(("open",)),
    "_socket": None,
    "_ssl": None,
    "_uuid": None,
    "_posixsubprocess": None,
}
_NOW = frozenset(("now", "utcnow", "today"))
# What a handler reaches a database through may look at clocks and sockets as it likes.
_DATABASE = ("sagalog.projections.tables", "sagalog.stores", "sqlite3", "psycopg", "sqlalchemy")


class ImpureHandler(AssertionError):
    """A handler looked at a clock, a random number, a socket or a file, so that a rebuild gives other rows."""


class ForgottenInPart(AssertionError):
    """What a projection declares to take the rows of a saga out has left some, or has taken rows of others."""


def projected(projection: Projection, store: Store, database: Any = None) -> Rows:
    """Return the rows of each table and view as a rebuild from the log of an open store gives them.

    It is built in a SQLite file that is removed, or in `database`. If the projection declares how rows are taken out,
    each saga is also rebuilt alone. Raises `ImpureHandler`, `ForgottenInPart`, and whatever a handler raises.
    """
    with tempfile.TemporaryDirectory() as folder:
        held = database_for(Path(folder) / "projected.db" if database is None else database)
        held.open()
        try:
            row = ensure(Projecting(projection, held, store, FakeClock()))
            generation = 1 if row is None else row.generation
            with held.transaction() as transaction:
                tables = Tables(transaction, projection.sql, generation)
                lanes = _hand_all(projection, store, tables)
                rows = {name: _rows(transaction, name, generation) for name in projection.sql.shown}
                for lane, entries in lanes.items():
                    _hand_anew(projection, store, tables, entries)
                    again = {name: _rows(transaction, name, generation) for name in projection.sql.shown}
                    _compare(projection, lane, rows, again)
                return rows
        finally:
            held.close()


def _hand_all(projection: Projection, store: Store, tables: Tables) -> dict[str, list[Entry]]:
    """Hand the whole log over; return the entries of each lane, if one of them can be taken out again."""
    reader = LogReader(store, projection.handlers)
    lanes: dict[str, list[Entry]] = {}
    after, is_full = 0, True
    while is_full:
        page = reader.page(after, PAGE)
        after, is_full = page.position, page.is_full
        for entry in page.entries:
            if projection.forgetting:
                lanes.setdefault(entry.lane, []).append(entry)
            with only_events():
                hand(entry, tables)
    return lanes


def _hand_anew(projection: Projection, store: Store, tables: Tables, entries: Sequence[Entry]) -> None:
    forgetting = LogReader(store, projection.forgetting).entries([one.stored for one in entries])
    with only_events():
        for entry in (*reversed(forgetting), *entries):
            hand(entry, tables)


def _compare(projection: Projection, lane: str, rows: Rows, again: Rows) -> None:
    for table, expected in rows.items():
        wanted, found = Counter(map(repr, expected)), Counter(map(repr, again[table]))
        for what, differing in (("is left", found - wanted), ("is gone", wanted - found)):
            if differing:
                raise ForgottenInPart(
                    f"projection {projection.name}: after correlation id {lane} was rebuilt alone, this row of {table} "
                    f"{what}: {next(iter(differing))}; what is declared with .forget has to take out all rows of an "
                    "event, and no others"
                )


def _rows(transaction: Any, name: str, generation: int) -> list[dict[str, Any]]:
    table = physical(name, generation)
    columns = transaction.columns(table)
    return [dict(zip(columns, row, strict=True)) for row in transaction.every_row(table)]


@contextmanager
def only_events() -> Generator[None]:
    """Let whatever looks at a clock, a random number, a socket or a file within the block raise `ImpureHandler`.

    It watches calls of functions that are written in C, under whatever name they were imported, in this thread.
    """
    before: Any = sys.getprofile()
    sys.setprofile(_watch)
    try:
        yield
    finally:
        sys.setprofile(before)


def _watch(frame: FrameType, event: str, function: Any) -> None:
    if event == "c_call" and (what := _outside(function)) is not None and not _is_of_the_database(frame):
        raise ImpureHandler(
            f"a handler of a projection may look at nothing but its event, its metadata and its tables, and this one "
            f"calls {what} ({frame.f_code.co_filename}:{frame.f_lineno}); take the time from Metadata, and record what "
            "is random in a saga"
        )


def _outside(function: Callable[..., Any]) -> str | None:
    """Return what a function is called, if it gives something else each time."""
    name: str = getattr(function, "__name__", "")
    owner: object = getattr(function, "__self__", None)
    module: str = getattr(function, "__module__", None) or type(owner).__module__
    if isinstance(owner, _random.Random):
        return f"random.{name}"
    if isinstance(owner, type) and issubclass(owner, dt.date):
        return f"{owner.__name__}.{name}" if name in _NOW else None
    if module not in _OUTSIDE:
        return None
    known = _OUTSIDE[module]
    return f"{module}.{name}" if known is None or name in known else None


def _is_of_the_database(frame: FrameType | None) -> bool:
    while frame is not None:
        module: object = frame.f_globals.get("__name__", "")
        if isinstance(module, str) and module.startswith(_DATABASE):
            return True
        if module in (__name__, "sagalog.engine.projections.handing"):
            return False
        frame = frame.f_back
    return False
