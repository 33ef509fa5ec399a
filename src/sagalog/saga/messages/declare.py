"""Steps that wait, as they are declared: for the reply to a command, for an event, or for a time.

The function of a request returns the command. Later steps and the compensation get the event that answers it. Nothing
is sent here, and a wait or a sleep has no function.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Concatenate, Generic, Protocol, TypeVar, overload

from sagalog.messages import Command, Event
from sagalog.saga.durations import Duration
from sagalog.saga.retry import Retry
from sagalog.saga.step_handles import (
    DEFAULT_STEP_TIMEOUT,
    AsyncHandle,
    ElementT,
    Handle,
    Params,
    SyncHandle,
    UndoParams,
)
from sagalog.saga.written import DeclaredReplies

EventT = TypeVar("EventT", bound=Event)
ReplyT = TypeVar("ReplyT", bound=Event)
CommandT = TypeVar("CommandT", bound=Command)
# The result of a request's compensation: a command, or None if it has undone the step itself.
UndoT = TypeVar("UndoT", bound="Command | Coroutine[Any, Any, Command | None] | None")

Refusals = type[Event] | Sequence[type[Event]]


class RequestCompensationDecorator(Protocol[ReplyT]):
    """What `step.compensate(...)` with options returns: it takes a handler whose first parameter is the reply."""

    @overload
    def __call__(
        self, handler: Callable[Concatenate[ReplyT | None, UndoParams], UndoT], /
    ) -> Callable[Concatenate[ReplyT | None, UndoParams], UndoT]: ...
    @overload
    def __call__(
        self, handler: Callable[Concatenate[ReplyT, UndoParams], UndoT], /
    ) -> Callable[Concatenate[ReplyT, UndoParams], UndoT]: ...


class RequestStep(Handle[Params], Generic[Params, CommandT, ReplyT]):
    """A declared request. Calling it calls the plain function, which returns the command and sends nothing."""

    _KIND = "Request"

    @overload
    def compensate(
        self, handler: Callable[Concatenate[ReplyT | None, UndoParams], UndoT]
    ) -> Callable[Concatenate[ReplyT | None, UndoParams], UndoT]: ...
    @overload
    def compensate(
        self, handler: Callable[Concatenate[ReplyT, UndoParams], UndoT]
    ) -> Callable[Concatenate[ReplyT, UndoParams], UndoT]: ...
    @overload
    def compensate(
        self, *, reply: type[Event] | None = ..., refused: Refusals = ..., retry: Retry = ..., timeout: Duration = ...
    ) -> RequestCompensationDecorator[ReplyT]: ...
    def compensate(
        self,
        handler: Callable[..., Any] | None = None,
        *,
        reply: type[Event] | None = None,
        refused: Refusals = (),
        retry: Retry | None = None,
        timeout: Duration = DEFAULT_STEP_TIMEOUT,
    ) -> Any:
        """Declare how this step is undone; the handler's first parameter is the reply, `| None` if it is not known.

        The handler returns a command, or None if it has undone the step itself. `reply` is the event that says it is
        done; without it, any event that the command caused says so. The events of `refused`, and `CommandRefused`, say
        that it was refused. `timeout` (seconds or a timedelta) is for one attempt; after it the same command is sent
        again. Raises `DefinitionError` when declared twice.
        """
        return self._undone_by(handler, retry, timeout, DeclaredReplies(reply, refused))


class SyncRequest(RequestStep[Params, CommandT, ReplyT], SyncHandle[Params, CommandT]):
    """A request whose command is made by a plain function."""


class AsyncRequest(RequestStep[Params, CommandT, ReplyT], AsyncHandle[Params, CommandT]):
    """A request whose command is made by a coroutine function."""


class ForEachRequestDecorator(Protocol[ElementT, ReplyT]):
    """What `saga.request(..., for_each=...)` returns: a decorator for a function that takes one element first."""

    @overload
    def __call__(
        self, handler: Callable[Concatenate[ElementT, Params], Coroutine[Any, Any, CommandT]], /
    ) -> AsyncRequest[Concatenate[ElementT, Params], CommandT, ReplyT]: ...
    @overload
    def __call__(
        self, handler: Callable[Concatenate[ElementT, Params], CommandT], /
    ) -> SyncRequest[Concatenate[ElementT, Params], CommandT, ReplyT]: ...


class RequestDecorator(Protocol[ReplyT]):
    """What `saga.request(...)` returns: a decorator for a function that returns a command."""

    @overload
    def __call__(
        self, handler: Callable[Params, Coroutine[Any, Any, CommandT]], /
    ) -> AsyncRequest[Params, CommandT, ReplyT]: ...
    @overload
    def __call__(self, handler: Callable[Params, CommandT], /) -> SyncRequest[Params, CommandT, ReplyT]: ...


class WaitStep(Generic[EventT]):
    """A declared wait for an event. Its result, for later steps, is the event."""

    def __init__(self, name: str, event: type[EventT]) -> None:
        self.name = name
        self.event = event

    def __repr__(self) -> str:
        return f"<Wait {self.name}>"


class SleepStep:
    """A declared pause."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<Sleep {self.name}>"


def snake_case(name: str) -> str:
    """Return the snake-case name of a class: `ParcelArrived` becomes `parcel_arrived`."""
    letters: list[str] = []
    for number, letter in enumerate(name):
        before, after = name[number - 1 : number], name[number + 1 : number + 2]
        if letter.isupper() and before and (before.islower() or before.isdigit() or after.islower()):
            letters.append("_")
        letters.append(letter.lower())
    return "".join(letters)
