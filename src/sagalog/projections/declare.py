"""Projections as they are declared: a name, a version, the SQL of the tables, and handlers by class of event."""

import inspect
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

from sagalog.errors import DefinitionError
from sagalog.projections.handlers import Handlers, read_handler
from sagalog.projections.schema import ProjectionSql, read_sql
from sagalog.saga.declare import Saga
from sagalog.saga.identifiers import as_text, check_identifier
from sagalog.saga.options import flag, shown, version_mistake
from sagalog.saga.retry import PATIENT, Retry

HandlerT = TypeVar("HandlerT", bound=Callable[..., None])
OnFailure = Literal["park", "stop"]
# The name by which the tables of the library itself are named among projections.
OWN = "sagalog"
LARGEST_BATCH = 10_000
DEFAULT_BATCH = 500
LONGEST_NAME = 200


class Projection:
    """Tables of your own that follow the log.

    `sql` is a file beside the module that declares it, or a text: first what makes the tables (their names in
    `{braces}`), then named statements. Raise `version` when either changes. `database` is another one than that of
    the sagas: an address, or an engine of SQLAlchemy. `on_failure="stop"` stops at an event that cannot be handled;
    "park" tries it again as `retry` says, then parks it, and only events of the same correlation id wait behind it.
    `batch` is the most events in one transaction. With `inline`, it is kept in the transactions that write the events,
    so that it is never behind; its handlers then take their time from every saga.

    Raises `DefinitionError` for what cannot work.
    """

    def __init__(
        self,
        name: str,
        *,
        sql: str | Path,
        version: int = 1,
        database: Any = None,
        inline: bool = False,
        on_failure: OnFailure = "park",
        retry: Retry = PATIENT,
        batch: int = DEFAULT_BATCH,
    ) -> None:
        self.name: str = check_identifier(as_text(name), "the name of a projection", LONGEST_NAME)
        wrong = version_mistake(version)
        if wrong is not None:
            raise DefinitionError(f"projection {name}: {wrong}")
        if on_failure not in ("park", "stop"):
            raise DefinitionError(f'projection {name}: on_failure= is "park" or "stop", found {shown(on_failure)}')
        if type(batch) is not int or not 1 <= batch <= LARGEST_BATCH:
            raise DefinitionError(f"projection {name}: batch= is from 1 to {LARGEST_BATCH:,}, found {shown(batch)}")
        if not isinstance(retry, Retry):
            raise DefinitionError(
                f"projection {name}: retry= takes a Retry, found {shown(retry)}; write Retry(attempts=3)"
            )
        if self.name == OWN:
            raise DefinitionError(
                f"projection {name}: the tables of sagalog itself are called so; give it another name"
            )
        self.version = version
        self.database = database
        self.inline = flag(inline, "inline", f"projection {name}")
        if self.inline and database is not None:
            raise DefinitionError(
                f"projection {name}: an inline one is in the database of the sagas, whose transactions keep it; leave "
                "out database= or inline="
            )
        self.on_failure: OnFailure = on_failure
        self.retry = retry
        self.batch = batch
        self.sql: ProjectionSql = _sql_of(name, sql, _folder_of(inspect.currentframe()))
        self.handlers = Handlers()
        # What takes the rows of events out of the tables, before these are handed over again.
        self.forgetting = Handlers()

    def __repr__(self) -> str:
        return f"<Projection {self.name} version {self.version}>"

    @typing.overload
    def on(self, handler: HandlerT, /) -> HandlerT: ...
    @typing.overload
    def on(
        self, /, *, saga: str | Saga[Any] | None = ..., step: str | None = ...
    ) -> Callable[[HandlerT], HandlerT]: ...
    def on(self, handler: Any = None, /, *, saga: Any = None, step: Any = None) -> Any:
        """Declare a handler of the events that its first parameter names: one class, or a union of several.

        Its other parameters are bound by type: `Metadata`, `Tables`, or the connection of a driver or of SQLAlchemy.
        `saga` and `step` choose only events of that saga, or of that step. Handlers are plain functions that neither
        look at a clock nor call anybody: a rebuild calls them again. Raises `DefinitionError`.
        """
        return self._declaring(self.handlers, handler, saga, step)

    @typing.overload
    def forget(self, handler: HandlerT, /) -> HandlerT: ...
    @typing.overload
    def forget(
        self, /, *, saga: str | Saga[Any] | None = ..., step: str | None = ...
    ) -> Callable[[HandlerT], HandlerT]: ...
    def forget(self, handler: Any = None, /, *, saga: Any = None, step: Any = None) -> Any:
        """Declare what removes the rows that an event has written, in the same way as a handler of `on`.

        With it, one saga can be rebuilt in place: it is called for each event of the saga's correlation id that is in
        the tables, the last first, and then all of them are handed over again. Raises `DefinitionError`.
        """
        return self._declaring(self.forgetting, handler, saga, step)

    def _declaring(self, handlers: Handlers, handler: Any, saga: Any, step: Any) -> Any:
        def declare(function: HandlerT) -> HandlerT:
            # All of them, or none.
            for kind, found in list(read_handler(self.name, self.inline, function, _saga_name(saga), step)):
                handlers.add(kind, found)
            return function

        return declare if handler is None else declare(handler)

    def check(self) -> None:
        """Raise `DefinitionError` if it has no handler."""
        if not self.handlers:
            raise DefinitionError(f"projection {self.name} has no handler; declare one with @....on")


def _saga_name(given: object) -> str | None:
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, Saga):
        return given.name
    raise DefinitionError(f"saga= takes a saga or its name, found {shown(given)}")


def _folder_of(frame: types.FrameType | None) -> Path:
    """Return the folder of the module that declares a projection, beside which its SQL is."""
    declaring = None if frame is None else frame.f_back
    file: object = None if declaring is None else declaring.f_globals.get("__file__")
    return Path(file).parent if isinstance(file, str) else Path()


def _sql_of(name: str, sql: object, beside: Path) -> ProjectionSql:
    if isinstance(sql, str) and (any(mark in sql for mark in "\n{ ") or not sql):
        return read_sql(sql, f"projection {name}")
    if not isinstance(sql, str | Path):
        raise DefinitionError(f"projection {name}: sql= takes the name of a file or its text, found {shown(sql)}")
    path = beside / sql
    try:
        return read_sql(path.read_text("utf-8"), Path(sql).name)
    except (OSError, UnicodeError) as problem:
        raise DefinitionError(f"projection {name}: {path} cannot be read ({problem}); sql= names a file") from None
