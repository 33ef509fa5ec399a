"""Who handles commands and reacts to events: `Participant`, as declared and as checked data. Nothing is run here."""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import timedelta
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar, cast, overload

from msgspec import Struct

from sagalog.errors import DefinitionError, InvalidIdentifier
from sagalog.messages import Command, Event, Message
from sagalog.saga.durations import Duration
from sagalog.saga.happenings import SagaHappening
from sagalog.saga.identifiers import as_text, check_identifier
from sagalog.saga.messages.handlers import DeclaredHandler, Handler, MessageContext, output_id, read_handler
from sagalog.saga.options import microseconds, shown, step_name
from sagalog.saga.retry import PATIENT, Retry

__all__ = ["Handler", "MessageContext", "Participant", "ParticipantDefinition", "check_together", "output_id"]

CommandT = TypeVar("CommandT", bound=Command)
EventT = TypeVar("EventT", bound=Event)
HappeningT = TypeVar("HappeningT", bound=SagaHappening)
MessageT = TypeVar("MessageT", bound=Message | SagaHappening)
OtherT = TypeVar("OtherT", bound=Message | SagaHappening)
Params = ParamSpec("Params")
Output = Event | Sequence[Event] | None
# The result of a handler, directly or awaited.
OutputT = TypeVar("OutputT", bound=Output | Coroutine[Any, Any, Output])

DEFAULT_TIMEOUT = timedelta(seconds=60)
# After the last attempt the message is parked, so that a person can decide.
DEFAULT_RETRY = PATIENT


class ParticipantDefinition(Struct, frozen=True):
    """A checked participant: `handlers` by the name of the message that they take, in the order of declaration."""

    name: str
    handlers: dict[str, tuple[Handler, ...]]


class HandlerDecorator(Protocol[MessageT]):
    """What `handles(Type)` and `on(Type)` return: a decorator for a handler whose first parameter takes that type.

    The overload with `OtherT`, the other types that the handler takes, comes first. So a handler of several types can
    have one decorator for each.
    """

    @overload
    def __call__(
        self, handler: Callable[Concatenate[MessageT | OtherT, Params], OutputT], /
    ) -> Callable[Concatenate[MessageT | OtherT, Params], OutputT]: ...
    @overload
    def __call__(
        self, handler: Callable[Concatenate[MessageT, Params], OutputT], /
    ) -> Callable[Concatenate[MessageT, Params], OutputT]: ...


class CommandDecorator(Protocol):
    """What `handles(...)` without a type returns: a decorator that takes the type from the first parameter."""

    def __call__(
        self, handler: Callable[Concatenate[CommandT, Params], OutputT], /
    ) -> Callable[Concatenate[CommandT, Params], OutputT]: ...


class EventDecorator(Protocol):
    """What `on(...)` without a type returns: a decorator that takes the type from the first parameter."""

    @overload
    def __call__(
        self, handler: Callable[Concatenate[EventT, Params], OutputT], /
    ) -> Callable[Concatenate[EventT, Params], OutputT]: ...
    @overload
    def __call__(
        self, handler: Callable[Concatenate[HappeningT, Params], OutputT], /
    ) -> Callable[Concatenate[HappeningT, Params], OutputT]: ...


class Participant:
    """A service that handles commands and reacts to events.

    `retry` says how often a failing handler is tried again before its message is parked; its `for_` counts from when
    the message arrived. `timeout` (seconds or timedelta; None: no limit) is for one attempt. Each handler may override
    both.
    """

    def __init__(self, name: str, *, retry: Retry = DEFAULT_RETRY, timeout: Duration | None = DEFAULT_TIMEOUT) -> None:
        self.name: str = as_text(name)
        self._retry = retry
        self._timeout = microseconds(timeout, f"participant {name}")
        self._declared: list[DeclaredHandler] = []
        self._definition: ParticipantDefinition | None = None

    def __repr__(self) -> str:
        return f"<Participant {self.name}>"

    @overload
    def handles(
        self, handler: Callable[Concatenate[CommandT, Params], OutputT], /
    ) -> Callable[Concatenate[CommandT, Params], OutputT]: ...
    @overload
    def handles(
        self,
        command: type[CommandT],
        /,
        *,
        name: str | None = ...,
        retry: Retry | None = ...,
        timeout: Duration | None = ...,
    ) -> HandlerDecorator[CommandT]: ...
    @overload
    def handles(
        self, /, *, name: str | None = ..., retry: Retry | None = ..., timeout: Duration | None = ...
    ) -> CommandDecorator: ...
    def handles(
        self,
        command: Any = None,
        /,
        *,
        name: str | None = None,
        retry: Retry | None = None,
        timeout: Duration | None = None,
    ) -> Any:
        """Declare the handler of a command; it returns the events that answer it, or None for "done".

        A handler that raises `Refused(...)` answers that it was definitely not done. Without `command`, the type of the
        handler's first parameter is the command. Raises `DefinitionError` after the participant was given to a process
        manager.
        """
        return self._decorator("command", command, name, retry, timeout)

    @overload
    def on(
        self, handler: Callable[Concatenate[EventT, Params], OutputT], /
    ) -> Callable[Concatenate[EventT, Params], OutputT]: ...
    @overload
    def on(
        self, handler: Callable[Concatenate[HappeningT, Params], OutputT], /
    ) -> Callable[Concatenate[HappeningT, Params], OutputT]: ...
    @overload
    def on(
        self,
        event: type[EventT],
        /,
        *,
        name: str | None = ...,
        retry: Retry | None = ...,
        timeout: Duration | None = ...,
    ) -> HandlerDecorator[EventT]: ...
    @overload
    def on(
        self,
        event: type[HappeningT],
        /,
        *,
        name: str | None = ...,
        retry: Retry | None = ...,
        timeout: Duration | None = ...,
        saga: str | None = ...,
        step: str | None = ...,
    ) -> HandlerDecorator[HappeningT]: ...
    @overload
    def on(
        self,
        /,
        *,
        name: str | None = ...,
        retry: Retry | None = ...,
        timeout: Duration | None = ...,
        saga: str | None = ...,
        step: str | None = ...,
    ) -> EventDecorator: ...
    def on(
        self,
        event: Any = None,
        /,
        *,
        name: str | None = None,
        retry: Retry | None = None,
        timeout: Duration | None = None,
        saga: str | None = None,
        step: str | None = None,
    ) -> Any:
        """Declare a reaction to an event; it returns the events that follow from it, or None.

        Without `event`, the type of the handler's first parameter is the event. It may be one of `sagalog.projections`,
        such as `SagaFailed`: the handler then hears what happens to sagas, to that of the name `saga`, or to `step`.
        Several handlers may react to one event. Raises `DefinitionError` after the participant was given to a process
        manager.
        """
        return self._decorator("event", event, name, retry, timeout, saga, step)

    def _decorator(
        self,
        kind: Literal["command", "event"],
        given: Any,
        name: str | None,
        retry: Retry | None,
        timeout: Duration | None,
        saga: str | None = None,
        step: str | None = None,
    ) -> Any:
        is_type = isinstance(given, type)
        if given is not None and not callable(cast(object, given)):
            raise DefinitionError(
                f"participant {self.name}: expected a class of {kind}s, or the handler itself, found {shown(given)}"
            )

        def declare(function: Callable[..., Any]) -> Callable[..., Any]:
            called = step_name(name, function)
            if self._definition is not None:
                raise DefinitionError(
                    f"participant {self.name}: handler {called} would never be called, for it is declared after the "
                    "participant was given to a process manager; declare all handlers first"
                )
            within = self._timeout if timeout is None else microseconds(timeout, f"handler {called}")
            policy = self._retry if retry is None else retry
            declared = DeclaredHandler(kind, given if is_type else None, function, called, policy, within, saga, step)
            self._declared.append(declared)
            return function

        return declare if is_type or given is None else declare(given)

    @property
    def definition(self) -> ParticipantDefinition:
        """Return the checked participant; raises `DefinitionError` with every mistake found."""
        if self._definition is None:
            self._definition = _build(self.name, self._declared)
        return self._definition


def _build(name: str, declared: Sequence[DeclaredHandler]) -> ParticipantDefinition:
    """Return the checked participant, or raise one `DefinitionError` that names every mistake."""
    mistakes: list[str] = []
    try:
        check_identifier(name, "its name", 200)
    except InvalidIdentifier as problem:
        mistakes.append(str(problem))
    if not declared:
        mistakes.append("it handles nothing; declare handlers with @participant.handles and @participant.on")
    handlers: dict[str, tuple[Handler, ...]] = {}
    for one in declared:
        found, wrong = read_handler(one)
        if (policy := Retry.mistake(one.retry)) is not None:
            wrong.append(policy)
        mistakes += [f"handler {one.name}: {text}" for text in dict.fromkeys(wrong)]
        for handler in found:
            others = handlers.get(handler.message_name, ())
            handlers[handler.message_name] = (*others, handler)
            mistakes += _clashes(handler, others)
    if mistakes:
        listed = "\n".join(f"  - {text}" for text in mistakes)
        raise DefinitionError(f"participant {name!r} is declared wrongly:\n{listed}")
    return ParticipantDefinition(name, handlers)


def _clashes(handler: Handler, others: Sequence[Handler]) -> Iterator[str]:
    """Yield the mistakes of a handler together with others that take a message of the same name."""
    shown = handler.message_name
    for other in others:
        if other.message is not handler.message:
            yield f"two types of messages travel under the name {shown}; give one of them another NAME"
        elif handler.kind == "command":
            yield f"command {shown} has two handlers, {other.name} and {handler.name}; a command has one"
        elif other.name == handler.name:
            yield f"two handlers of {shown} are called {handler.name}; give one of them name="


def check_together(participants: Sequence[ParticipantDefinition]) -> None:
    """Raise `DefinitionError` if two participants have the same name, or handle the same command."""
    mistakes: list[str] = []
    names: set[str] = set()
    handled: dict[str, str] = {}
    for participant in participants:
        if participant.name in names:
            mistakes.append(f"two participants are called {participant.name}; give one of them another name")
        names.add(participant.name)
        for message, handlers in participant.handlers.items():
            if handlers[0].kind != "command":
                continue
            if message in handled:
                mistakes.append(f"{handled[message]} and {participant.name} both handle {message}; a command has one")
            handled[message] = participant.name
    if mistakes:
        raise DefinitionError("the participants do not fit together:\n" + "\n".join(f"  - {m}" for m in mistakes))
