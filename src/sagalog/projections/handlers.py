"""Handlers of a projection: which class of event each takes, what else it is given, and what is refused."""

import inspect
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from sagalog.errors import DefinitionError
from sagalog.messages import Event, Message, name_of
from sagalog.projections.tables import Tables
from sagalog.saga.callables import annotations_of, handler_mistake, is_async, name_of_callable, parameters_of
from sagalog.saga.happenings import HAPPENINGS, SagaHappening
from sagalog.saga.metadata import Metadata
from sagalog.saga.options import flag
from sagalog.saga.payload.payload_type import PayloadType

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


class Handlers:
    """Handlers by the class of event that they take."""

    def __init__(self) -> None:
        self._by_kind: dict[type, list[EventHandler]] = {}
        self._by_message: dict[str, list[EventHandler]] | None = None

    def __bool__(self) -> bool:
        return bool(self._by_kind)

    def add(self, kind: type, handler: EventHandler) -> None:
        """Add a handler of a class of event."""
        self._by_kind.setdefault(kind, []).append(handler)
        self._by_message = None

    def of(self, kind: type) -> Sequence[EventHandler]:
        """Return the handlers of a class of saga events, in the order in which they were declared."""
        return self._by_kind.get(kind, ())

    @property
    def by_message(self) -> dict[str, list[EventHandler]]:
        """Return the handlers of domain events by the name that the message has in the log."""
        if self._by_message is None:
            self._by_message = {
                name_of(kind): found for kind, found in self._by_kind.items() if issubclass(kind, Message)
            }
        return self._by_message


def read_handler(
    projection: str, inline: bool, function: Callable[..., None], saga: str | None, step: str | None
) -> Iterator[tuple[type, EventHandler]]:
    """Yield a handler for each class of event that a function takes; raises `DefinitionError`."""
    where = f"projection {projection}, handler {name_of_callable(function)}"
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
    given = tuple(_given(where, one, hints.get(one.name), inline) for one in others)
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
