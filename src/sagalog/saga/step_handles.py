"""The handles of declared steps. Calling one calls the plain function; `compensate` declares how it is undone."""

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from sagalog.errors import DefinitionError
from sagalog.saga.durations import Duration
from sagalog.saga.options import microseconds
from sagalog.saga.retry import Retry
from sagalog.saga.written import DeclaredCompensation, DeclaredReplies, DeclaredStep

ResultT = TypeVar("ResultT")
ReturnT = TypeVar("ReturnT")
Params = ParamSpec("Params")
UndoParams = ParamSpec("UndoParams")
# The result of a compensation: None, directly or awaited.
UndoneT = TypeVar("UndoneT", None, Coroutine[Any, Any, None])
ElementT = TypeVar("ElementT")

DEFAULT_STEP_TIMEOUT = timedelta(seconds=60)


def declare_compensation(step: DeclaredStep, compensation: DeclaredCompensation) -> None:
    """Keep the compensation of a step; raises `DefinitionError` if it already has one."""
    if step.compensation is not None or step.waived:
        raise DefinitionError(f"step {step.name}: its compensation is declared twice; keep one")
    step.compensation = compensation


class CompensationDecorator(Protocol[ResultT]):
    """What `step.compensate(...)` with options returns: it takes a handler whose first parameter is the result.

    The overload with `| None` comes first, so that such a compensation can still be called with None.
    """

    @overload
    def __call__(
        self, handler: Callable[Concatenate[ResultT | None, UndoParams], UndoneT], /
    ) -> Callable[Concatenate[ResultT | None, UndoParams], UndoneT]: ...
    @overload
    def __call__(
        self, handler: Callable[Concatenate[ResultT, UndoParams], UndoneT], /
    ) -> Callable[Concatenate[ResultT, UndoParams], UndoneT]: ...


class Handle(Generic[Params]):
    """The object that replaces a function once it is declared as a step."""

    _KIND: ClassVar[str]

    def __init__(self, declared: DeclaredStep) -> None:
        self._declared = declared
        self.name = declared.name
        self.__doc__ = declared.handler.__doc__
        self.__wrapped__ = declared.handler

    def __repr__(self) -> str:
        return f"<{self._KIND} {self.name}>"

    def _undone_by(
        self,
        handler: Callable[..., Any] | None,
        retry: Retry | None,
        timeout: Duration | None,
        replies: DeclaredReplies | None = None,
    ) -> Any:
        """Declare the compensation; without a handler, return a decorator that does."""

        def declare(function: Callable[..., Any]) -> Callable[..., Any]:
            over = microseconds(timeout, f"compensation of {self.name}")
            declare_compensation(self._declared, DeclaredCompensation(function, retry, over, replies))
            return function

        return declare if handler is None else declare(handler)


class SyncHandle(Handle[Params], Generic[Params, ReturnT]):
    """The handle of a plain function."""

    def __call__(self, *args: Params.args, **kwargs: Params.kwargs) -> ReturnT:
        """Call the function as it was written, outside any saga; nothing is started, sent or recorded."""
        return cast(ReturnT, self._declared.handler(*args, **kwargs))


class AsyncHandle(Handle[Params], Generic[Params, ReturnT]):
    """The handle of a coroutine function."""

    async def __call__(self, *args: Params.args, **kwargs: Params.kwargs) -> ReturnT:
        """Call the function as it was written, outside any saga; nothing is started, sent or recorded."""
        return cast(ReturnT, await self._declared.handler(*args, **kwargs))


class Step(Handle[Params], Generic[Params, ResultT]):
    """A declared step. Calling it calls the plain function; `compensate` declares how it is undone.

    `ResultT` is the step's result, which the compensation takes first. Calling an async action returns a coroutine.
    """

    _KIND = "Step"

    @overload
    def compensate(
        self, handler: Callable[Concatenate[ResultT | None, UndoParams], UndoneT]
    ) -> Callable[Concatenate[ResultT | None, UndoParams], UndoneT]: ...
    @overload
    def compensate(
        self, handler: Callable[Concatenate[ResultT, UndoParams], UndoneT]
    ) -> Callable[Concatenate[ResultT, UndoParams], UndoneT]: ...
    @overload
    def compensate(self, *, retry: Retry = ..., timeout: Duration | None = ...) -> CompensationDecorator[ResultT]: ...
    def compensate(
        self,
        handler: Callable[..., Any] | None = None,
        *,
        retry: Retry | None = None,
        timeout: Duration | None = DEFAULT_STEP_TIMEOUT,
    ) -> Any:
        """Declare how this step is undone; the handler's first parameter is the step's result, `| None` if unknown.

        `timeout` is in seconds or a timedelta, for one attempt. Raises `DefinitionError` when declared twice.
        """
        return self._undone_by(handler, retry, timeout)


class SyncStep(Step[Params, ResultT], SyncHandle[Params, ResultT]):
    """A step whose action is a plain function."""


class AsyncStep(Step[Params, ResultT], AsyncHandle[Params, ResultT]):
    """A step whose action is a coroutine function."""


class StepDecorator(Protocol):
    """What `saga.step(...)` with options returns: a decorator for async and plain actions.

    A coroutine function would also fit the second overload, with the coroutine as its result: the first one wins.
    """

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, handler: Callable[Params, Coroutine[Any, Any, ResultT]], /
    ) -> AsyncStep[Params, ResultT]: ...
    @overload
    def __call__(self, handler: Callable[Params, ResultT], /) -> SyncStep[Params, ResultT]: ...


class ForEachDecorator(Protocol[ElementT]):
    """What `saga.step(for_each=...)` returns: a decorator for an action whose first parameter is one element."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, handler: Callable[Concatenate[ElementT, Params], Coroutine[Any, Any, ResultT]], /
    ) -> AsyncStep[Concatenate[ElementT, Params], ResultT]: ...
    @overload
    def __call__(
        self, handler: Callable[Concatenate[ElementT, Params], ResultT], /
    ) -> SyncStep[Concatenate[ElementT, Params], ResultT]: ...
