"""Projections as they are declared: a name, a version, the SQL of the tables, and handlers by class of event."""

import inspect
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from msgspec import Struct

from sagalog.errors import DefinitionError
from sagalog.messages import Event, Message, name_of
from sagalog.projections.schema import ProjectionSql, read_sql
from sagalog.projections.tables import Tables
from sagalog.saga.callables import annotations_of, handler_mistake, is_async, name_of_callable, parameters_of
from sagalog.saga.declare import Saga
from sagalog.saga.happenings import HAPPENINGS, SagaHappening
from sagalog.saga.identifiers import as_text, check_identifier
from sagalog.saga.metadata import Metadata
from sagalog.saga.options import flag, shown, version_mistake
from sagalog.saga.payload.payload_type import PayloadType
from sagalog.saga.retry import PATIENT, Retry

HandlerT = TypeVar("HandlerT", bound=Callable[..., None])
OnFailure = Literal["park", "stop"]
LARGEST_BATCH = 10_000
DEFAULT_BATCH = 500
LONGEST_NAME = 200
# Types of connections that a handler may ask for, by their full names, so that no driver is imported.
_DRIVERS = ("sqlite3.Connection", "psycopg.Connection")
_SQLALCHEMY = ("sqlalchemy.engine.base.Connection", "sqlalchemy.orm.session.Session")


class EventHandler(Struct, frozen=True):
    """A function for one class of event: what else it is given, and of which saga and step the event must be.

    `given` has, by parameter, "metadata", "tables" or "connection". `payload` reads a domain event.
    """

    name: str
    function: Callable[..., object]
    given: tuple[tuple[str, str], ...]
    saga: str | None
    step: str | None
    payload: PayloadType | None = None


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
        self._handlers: dict[type, list[EventHandler]] = {}
        self._by_message: dict[str, list[EventHandler]] | None = None

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

        def declare(function: HandlerT) -> HandlerT:
            for kind, found in _read_handler(self, function, _saga_name(saga), step):
                self._handlers.setdefault(kind, []).append(found)
            self._by_message = None
            return function

        return declare if handler is None else declare(handler)

    def handlers_of(self, kind: type) -> Sequence[EventHandler]:
        """Return the handlers of a class of saga events, in the order in which they were declared."""
        return self._handlers.get(kind, ())

    @property
    def handlers_by_message(self) -> dict[str, list[EventHandler]]:
        """Return the handlers of domain events by the name that the message has in the log."""
        if self._by_message is None:
            self._by_message = {
                name_of(kind): found for kind, found in self._handlers.items() if issubclass(kind, Message)
            }
        return self._by_message

    def check(self) -> None:
        """Raise `DefinitionError` if it has no handler."""
        if not self._handlers:
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
    if isinstance(sql, str) and ("\n" in sql or "{" in sql):
        return read_sql(sql, f"projection {name}")
    if not isinstance(sql, str | Path):
        raise DefinitionError(f"projection {name}: sql= takes the name of a file or its text, found {shown(sql)}")
    path = beside / sql
    try:
        return read_sql(path.read_text("utf-8"), Path(sql).name)
    except (OSError, UnicodeError) as problem:
        raise DefinitionError(f"projection {name}: {path} cannot be read ({problem}); sql= names a file") from None


def _read_handler(
    projection: Projection, function: Callable[..., None], saga: str | None, step: str | None
) -> Iterator[tuple[type, EventHandler]]:
    """Yield a handler for each class of event that a function takes; raises `DefinitionError`."""
    where = f"projection {projection.name}, handler {name_of_callable(function)}"
    wrong = handler_mistake(function, first=True)
    if wrong is None and is_async(function):
        wrong = "it is async, and runs inside a transaction in a thread; write a plain function"
    if wrong is not None:
        raise DefinitionError(f"{where}: {wrong}")
    try:
        hints = annotations_of(function)
        first, *others = parameters_of(function)
    except Exception as problem:
        raise DefinitionError(f"{where}: its annotations cannot be resolved ({problem})") from None
    given = tuple(_given(where, one, hints.get(one.name), projection.inline) for one in others)
    for kind in _kinds(hints.get(first.name)):
        flag(isinstance(kind, type), "on", where)
        yield from _handlers(where, kind, EventHandler(name_of_callable(function), function, given, saga, step))


def _handlers(where: str, kind: Any, handler: EventHandler) -> Iterator[tuple[type, EventHandler]]:
    given: object = kind
    if isinstance(kind, type) and issubclass(kind, SagaHappening):
        for one in HAPPENINGS if kind is SagaHappening else (kind,):
            if handler.step is not None and "step" not in one.__struct_fields__:
                if kind is SagaHappening:
                    continue
                raise DefinitionError(f"{where}: step= goes with events of steps, and {one.__name__} is none")
            yield one, handler
    elif isinstance(kind, type) and issubclass(kind, Event) and kind is not Event:
        if handler.saga is not None or handler.step is not None:
            raise DefinitionError(f"{where}: saga= and step= go with events of sagas, and {kind.__name__} is none")
        yield kind, _with_payload(handler, kind)
    else:
        raise _no_event(where, given)


def _no_event(where: str, found: object) -> DefinitionError:
    return DefinitionError(
        f"{where}: expected its first parameter to be an event, such as StepSucceeded or a class of Event, found "
        f"{getattr(found, '__name__', found)}; annotate it"
    )


def _with_payload(handler: EventHandler, kind: type) -> EventHandler:
    return EventHandler(handler.name, handler.function, handler.given, None, None, PayloadType(kind))


def _kinds(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [kind for one in typing.get_args(annotation) for kind in _kinds(one)]
    return [annotation]


def _given(where: str, parameter: inspect.Parameter, kind: Any, inline: bool) -> tuple[str, str]:
    """Return what a further parameter is given, by its type; raises `DefinitionError` if nothing provides it."""
    if kind is Metadata:
        return parameter.name, "metadata"
    if kind is Tables:
        return parameter.name, "tables"
    names = {f"{one.__module__}.{one.__qualname__}" for one in getattr(kind, "__mro__", ())}
    # Whoever writes the events has a connection of a driver, and none of SQLAlchemy.
    if names.intersection(_DRIVERS if inline else (*_DRIVERS, *_SQLALCHEMY)):
        return parameter.name, "connection"
    connections = "sqlite3 or psycopg" if inline else "sqlite3, psycopg or SQLAlchemy"
    raise DefinitionError(
        f"{where}: parameter {parameter.name} is {getattr(kind, '__name__', kind)}; a handler may ask for Metadata, "
        f"Tables, and a connection of {connections}; it calls no service, for a rebuild calls it again"
    )
