"""One transaction on the database of a projection, for sqlite3 and psycopg alike; it opens and commits nothing."""

import re
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.resources import files
from typing import Any

from msgspec.structs import asdict, fields

from sagalog.errors import StoreError, StoreUnavailable
from sagalog.projections.schema import written
from sagalog.store.projections import ParkedEvent, ProjectionRow
from sagalog.stores.sql import split, statements

# PostgreSQL's code for a role that lacks a privilege.
FORBIDDEN = "42501"
# What to do where a table of a generation is not as it was made.
GONE = "a table of a projection is gone or has been changed: build it anew with `sagalog projections rebuild`"
# What it says of a transaction or a part of one that somebody has ended before.
NOT_BEGUN = ("25P01", "3B001")
# The migrations that make something for projections.
MIGRATIONS = ("0007_projections.sql", "0011_polls.sql")
_ROWS = tuple(field.name for field in fields(ProjectionRow))
_EVENTS = tuple(field.name for field in fields(ParkedEvent))
_FILLED = {
    "{rows}": ", ".join(_ROWS),
    "{row_values}": ", ".join(f":{name}" for name in _ROWS),
    "{row_assignments}": ", ".join(f"{name} = excluded.{name}" for name in _ROWS[2:]),
    "{events}": ", ".join(_EVENTS),
    "{event_values}": ", ".join(f":{name}" for name in _EVENTS),
    "{event_assignments}": ", ".join(f"{name} = excluded.{name}" for name in _EVENTS[3:]),
}


def blocks(with_percent: bool, own: str, locks: Mapping[str, str]) -> dict[str, str]:
    """Return all statements as a driver takes them: those of both databases, and those of the file `own`."""
    found = statements("sagalog.stores.projected", "projections.sql") | statements("sagalog.stores.projected", own)
    filled: dict[str, str] = {}
    for name, text in found.items():
        whole = text
        for mark, value in {**_FILLED, **locks}.items():
            whole = whole.replace(mark, value)
        filled[name] = written(whole, 0, with_percent)
    return filled


def creating(dialect: str) -> list[str]:
    """Return the statements of migrations that make the tables and indexes which a database of projections needs."""
    folder = files("sagalog.stores").joinpath(dialect, "migrations")
    made = [one for name in MIGRATIONS for one in split(folder.joinpath(name).read_text("utf-8"))]
    return [one for one in made if re.match(r"CREATE \w+ IF NOT EXISTS saga_projection", one)]


class SqlTransaction(ABC):
    """What both databases do in the same way; `driver` is the driver's connection, `connection` what handlers get."""

    with_percent: bool
    sql: Mapping[str, str]
    # The class of the driver's errors.
    errors: type[Exception]

    def __init__(self, driver: Any, connection: Any) -> None:
        self.driver = driver
        self.connection = connection

    def run(self, sql: str, values: Mapping[str, Any]) -> None:
        """Run a statement."""
        self.driver.execute(sql, values)

    @abstractmethod
    def rows(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run a statement and return the rows that it gives."""

    @abstractmethod
    def every_row(self, table: str) -> Iterator[tuple[Any, ...]]:
        """Yield all rows of a table, of which only some are held in memory."""

    def columns(self, table: str) -> list[str]:
        """Return the names of a table's columns, in their order."""
        return [column[0] for column in self.driver.execute(self.about("no_row", table=table)).description]

    def about(self, block: str, **names: str) -> str:
        """Return one of our own statements with names of tables and views in it."""
        text = self.sql[block]
        for mark, name in names.items():
            text = text.replace(f"<{mark}>", name)
        return text

    def ask(self, block: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run one of our own statements and return its rows."""
        return self.rows(self.sql[block], values)

    @abstractmethod
    def meaning(self, problem: BaseException) -> StoreError:
        """Return an error of the driver as one of sagalog."""

    def is_lost(self, problem: Exception) -> bool:
        """Tell whether an error says that the database does not answer, or not to this role."""
        cause: object = getattr(problem, "orig", problem)
        if not isinstance(cause, self.errors):
            return False
        code = getattr(cause, "sqlstate", None)
        if code in NOT_BEGUN:
            return False
        return code == FORBIDDEN or isinstance(self.meaning(cause), StoreUnavailable)

    def make(self, statements: Sequence[str]) -> None:
        """Make our tables, unless they are there: then a role need not be allowed to."""
        if not self.ask("is_made")[0][0]:
            self.lock_name("")
            for statement in statements:
                self.rows(statement, {})

    @contextmanager
    def part(self) -> Generator[None]:
        """Begin a part that can fail by itself."""
        self.ask("savepoint")
        try:
            yield
            self.ask("release")
        except BaseException:
            self.ask("back")
            self.ask("release")
            raise

    def handlers(self) -> AbstractContextManager[None]:
        """Let handlers run within; what of theirs would end the transaction is refused where the database can do so."""
        return nullcontext()

    @abstractmethod
    def goes_on(self) -> bool:
        """Tell whether what was written before can still be committed, after a part has failed."""

    def together(self) -> AbstractContextManager[None]:
        """Begin a part whose errors may be raised at the end only."""
        return self.part()

    def many(self) -> AbstractContextManager[Any]:
        """Begin many statements; each is waited for."""
        return nullcontext()

    def generations(self, projection: str | None = None) -> list[ProjectionRow]:
        """Return the generations of a projection, or of all."""
        return [ProjectionRow(*row) for row in self.ask("generations", projection=projection)]

    def lock(self, projection: str, generation: int, *, wait: bool) -> ProjectionRow | None:
        """Lock a generation until the end, and return it."""
        found = self.ask("lock" if wait else "lock_soon", projection=projection, generation=generation)
        return ProjectionRow(*found[0]) if found else None

    def lock_live(self, projection: str) -> ProjectionRow | None:
        """Lock the generation that readers see, and return it."""
        found = self.ask("lock_live", projection=projection)
        return ProjectionRow(*found[0]) if found else None

    @abstractmethod
    def lock_log(self) -> None:
        """Let nobody else write to the log until the end."""

    @abstractmethod
    def lock_name(self, projection: str) -> None:
        """Wait until no other transaction makes, switches or removes generations of this projection."""

    def write(self, row: ProjectionRow) -> None:
        """Write a generation's row, new or not."""
        self.run(self.sql["write"], asdict(row))

    def remove(self, projection: str, generation: int) -> None:
        """Remove a generation and its parked events."""
        self.ask("remove_events", projection=projection, generation=generation)
        self.ask("forget_removed", projection=projection)
        self.ask("remove", projection=projection, generation=generation)

    def parked(self, projection: str, generation: int, lane: str | None = None) -> list[ParkedEvent]:
        """Return the parked events of a generation, or of one lane of it."""
        found = self.ask("parked", projection=projection, generation=generation, lane=lane)
        return [ParkedEvent(*row) for row in found]

    def first_parked(self, projection: str, generation: int) -> list[ParkedEvent]:
        """Return the first parked event of each lane."""
        found = self.ask("first_parked", projection=projection, generation=generation)
        return [ParkedEvent(*row) for row in found]

    def park(self, events: Sequence[ParkedEvent]) -> None:
        """Write parked events, new or not."""
        for one in events:
            self.run(self.sql["park"], asdict(one))

    def unpark(self, projection: str, generation: int, positions: Sequence[int]) -> None:
        """Remove parked events."""
        for position in positions:
            values = {"projection": projection, "generation": generation, "position": position}
            self.run(self.sql["unpark"], values)

    def is_taken(self, name: str) -> bool:
        """Tell whether a table or a view has this name."""
        return bool(self.ask("is_taken", name=name)[0][0])

    def show(self, names: Mapping[str, str], gone: Sequence[str]) -> None:
        """Let readers see tables by their plain names."""
        for name in gone:
            self.rows(self.about("drop_view", name=name), {})
        for name, table in names.items():
            self.show_one(name, table)

    def show_one(self, name: str, table: str) -> None:
        """Let the view `name` show a table."""
        self.rows(self.about("drop_view", name=name), {})
        self.rows(self.about("show", name=name, table=table), {})

    def drop(self, made: Sequence[tuple[str, str]]) -> None:
        """Drop what was made, the last first."""
        for kind, name in reversed(made):
            if kind != "INDEX":
                self.rows(self.about("drop_view" if kind == "VIEW" else "drop_table", name=name), {})
