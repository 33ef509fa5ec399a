"""Translates an application's domain events into messages of our log. It reads and writes nothing.

The same notification always gives the same messages with the same ids. Together with the position, which is written in
the same transaction, this publishes each message exactly once.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import cast

from msgspec import Raw, Struct

from sagalog.errors import DefinitionError
from sagalog.messages import Envelope, Event, name_of
from sagalog.saga.callables import answers_later, asked_mistake, signature_of
from sagalog.saga.failure import Redact, described, let_interrupts_through
from sagalog.saga.identifiers import check_identifier
from sagalog.saga.payload.payload_type import PayloadType
from sagalog.saga.times import time_of
from sagalog.source import Notification, Source

LONGEST_NAME = 200
LONGEST_ERROR = 2_000


class FollowContext(Struct, frozen=True, kw_only=True):
    """The place of a handler's event in the log of its application."""

    follow: str
    notification_id: int
    originator_id: str
    originator_version: int


class Entry(Struct, frozen=True, gc=False):
    """The outcome of one notification: its messages, or the error that prevented them.

    `is_aside`: it is tried again without a person.
    """

    notification: Notification
    messages: Sequence[Envelope] = ()
    error: str | None = None
    is_aside: bool = False


class Translator(Struct, frozen=True):
    """The function that maps one class of domain events, and whether it takes a `FollowContext`, too."""

    function: Callable[..., object]
    takes_context: bool


class Translation:
    """Translates the notifications of one application into messages; `redact` is applied to the text of errors."""

    def __init__(
        self,
        follow: str,
        source: Source,
        handlers: Mapping[type, Callable[..., object]],
        redact: Redact | None = None,
    ) -> None:
        self.follow = check_identifier(follow, "the name of what is followed", LONGEST_NAME)
        self._source = source
        self._handlers = {kind: _checked(kind, function) for kind, function in handlers.items()}
        self._payloads: dict[type, PayloadType] = {}
        self._redact = redact

    def entry(self, notification: Notification, now: int) -> Entry:
        """Return an entry with the messages of one notification, or with the error if decoding or mapping failed."""
        try:
            event = self._source.decode(notification)
            handler = self._handlers[notification.kind]
            given = (
                handler.function(event, self._context(notification))
                if handler.takes_context
                else (handler.function(event))
            )
            return Entry(notification, self._messages(notification, event, _events(given), now))
        except BaseException as problem:
            let_interrupts_through(problem)
            return Entry(notification, error=_described(problem, self._redact))

    def _context(self, notification: Notification) -> FollowContext:
        return FollowContext(
            follow=self.follow,
            notification_id=notification.id,
            originator_id=notification.originator_id,
            originator_version=notification.originator_version,
        )

    def _messages(self, notification: Notification, cause: object, events: Sequence[Event], now: int) -> list[Envelope]:
        if not events:
            return []
        first = self.message_id(notification.id, 0)
        correlation = _identifier(cause, "correlation_id") or first
        causation = _identifier(cause, "causation_id")
        happened = getattr(cause, "timestamp", None)
        time = time_of(happened, "its timestamp") if isinstance(happened, datetime) else now
        return [
            Envelope(
                id=self.message_id(notification.id, n),
                kind="event",
                name=name_of(type(event)),
                source=self.follow,
                correlation_id=correlation,
                causation_id=causation,
                time=time,
                data=self._data(event),
            )
            for n, event in enumerate(events)
        ]

    def message_id(self, notification_id: int, n: int) -> str:
        """Return the id of the n-th message of a notification."""
        # An id always ends with these two numbers, so the ids of two names never collide.
        return f"follow:{self.follow}:{notification_id}:{n}"

    def _data(self, event: Event) -> Raw:
        kind = type(event)
        payload = self._payloads.get(kind)
        if payload is None:
            payload = self._payloads[kind] = PayloadType(kind)
        return payload.write(event, name_of(kind))


def _checked(kind: type, function: Callable[..., object]) -> Translator:
    """Return the checked handler; raises `DefinitionError` if it cannot be one."""
    if not isinstance(kind, type):
        raise DefinitionError(f"follow() takes {{EventClass: handler}}, found the key {kind!r:.80}")
    if not callable(function):
        raise DefinitionError(f"the handler of {kind.__qualname__} cannot be called: {function!r:.80}")
    if (later := answers_later(function)) is not None:
        raise DefinitionError(
            f"the handler of {kind.__qualname__} is {later}; it must be a plain function that only maps the event: "
            "do the work in a saga that the message starts, or in a participant"
        )
    if (wrong := asked_mistake(function, kind)) is not None:
        raise DefinitionError(f"the handler of {kind.__qualname__} takes the event, but {wrong}")
    try:
        parameters = list(signature_of(function).parameters.values())
    except (TypeError, ValueError):
        return Translator(function, takes_context=False)
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [one for one in parameters if one.default is one.empty and one.kind not in variable]
    if not positional or any(one not in positional[:2] for one in needed):
        raise DefinitionError(
            f"the handler of {kind.__qualname__} takes the event and, if it wants, a FollowContext; "
            f"found {signature_of(function)}"
        )
    second = positional[1] if len(positional) > 1 else None
    return Translator(function, second is not None and (second in needed or _is_context(second.annotation)))


def _is_context(annotation: object) -> bool:
    return annotation is FollowContext or annotation == FollowContext.__name__


def _events(given: object) -> Sequence[Event]:
    """Return what a handler returned as a sequence of events; raises `TypeError` for anything else."""
    if given is None:
        return ()
    events: Sequence[object] = cast("Sequence[object]", given) if isinstance(given, list | tuple) else (given,)
    for event in events:
        if not isinstance(event, Event):
            if inspect.iscoroutine(event):
                event.close()
            raise TypeError(f"a handler returns an Event, several, or None; found {type(event).__name__}")
    return cast("Sequence[Event]", events)


def _identifier(event: object, name: str) -> str | None:
    """Return an id that the event itself carries, or None; applications that answer our commands set them."""
    value = getattr(event, name, None)
    if value is None or callable(value):
        return None
    return check_identifier(str(value), name)


def _described(problem: BaseException, redact: Redact | None) -> str:
    return " ".join(described(problem, redact).split())[:LONGEST_ERROR]
