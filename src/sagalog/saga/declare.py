"""How a saga is declared: `Saga`, its `step` decorator and `Step.compensate`; nothing is checked before it is built."""

from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Concatenate, Generic, Literal, ParamSpec, Protocol, TypeVar, cast, overload

from sagalog.errors import DefinitionError
from sagalog.saga.check import DeclaredCompensation, DeclaredSaga, DeclaredStep, build
from sagalog.saga.definition import Definition
from sagalog.saga.retry import Retry

InputT = TypeVar("InputT")
ResultT = TypeVar("ResultT")
Params = ParamSpec("Params")
UndoParams = ParamSpec("UndoParams")
# What a compensation may return: nothing, at once or when awaited.
UndoneT = TypeVar("UndoneT", None, Coroutine[Any, Any, None])
Duration = timedelta | float | int

DEFAULT_STEP_TIMEOUT = timedelta(seconds=60)
DEFAULT_SAGA_TIMEOUT = timedelta(days=1)


class _Unset:
    """Mark an argument that was not given, where None means something else."""


_UNSET = _Unset()


def _microseconds(given: Duration | None, what: str) -> int | None:
    if given is None:
        return None
    seconds = given.total_seconds() if isinstance(given, timedelta) else float(given)
    if not 0 < seconds < 100 * 365 * 86_400:
        raise DefinitionError(f"{what}: expected a timeout over 0 seconds and under 100 years, found {given!r}")
    return int(seconds * 1_000_000)


class CompensationDecorator(Protocol[ResultT]):
    """What `step.compensate(...)` with options gives: it takes a handler whose first parameter takes the result.

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


class Step(Generic[Params, ResultT]):
    """A declared step. Calling it calls the plain function; `compensate` declares how it is undone.

    `ResultT` is the step's result, which the compensation takes first. For an async action calling gives a coroutine.
    """

    def __init__(self, declared: DeclaredStep) -> None:
        self._declared = declared
        self.name = declared.name
        self.__doc__ = declared.handler.__doc__
        self.__wrapped__ = declared.handler

    def __repr__(self) -> str:
        return f"<Step {self.name}>"

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

        def declare(function: Callable[..., Any]) -> Callable[..., Any]:
            if self._declared.compensation is not None or self._declared.waived:
                raise DefinitionError(f"step {self.name}: its compensation is declared twice; keep one")
            self._declared.compensation = DeclaredCompensation(
                function, retry, _microseconds(timeout, f"compensation of {self.name}")
            )
            return function

        return declare if handler is None else declare(handler)


class SyncStep(Step[Params, ResultT]):
    """A step whose action is a plain function."""

    def __call__(self, *args: Params.args, **kwargs: Params.kwargs) -> ResultT:
        """Call the action as it was written, outside any saga."""
        return cast(ResultT, self._declared.handler(*args, **kwargs))


class AsyncStep(Step[Params, ResultT]):
    """A step whose action is a coroutine function."""

    def __call__(self, *args: Params.args, **kwargs: Params.kwargs) -> Coroutine[Any, Any, ResultT]:
        """Call the action as it was written, outside any saga."""
        return cast("Coroutine[Any, Any, ResultT]", self._declared.handler(*args, **kwargs))


class StepDecorator(Protocol):
    """What `saga.step(...)` with options gives: it tells async actions from plain ones.

    A coroutine function would also fit the second overload, with the coroutine for its result: the first one wins.
    """

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, handler: Callable[Params, Coroutine[Any, Any, ResultT]], /
    ) -> AsyncStep[Params, ResultT]: ...
    @overload
    def __call__(self, handler: Callable[Params, ResultT], /) -> SyncStep[Params, ResultT]: ...


class Saga(Generic[InputT]):
    """Declare a saga: a long transaction over several services that either finishes or is undone.

    `input` is the type of what a saga is started with. `timeout` (seconds or timedelta; None: no deadline) is for the
    whole saga. `key` finds the business key in the input, so that the same key is the same saga. `after_end` says
    what a start with the key of a saga that has ended does: "reject" gives the ended saga and records the refusal,
    "rerun" begins a new run.
    """

    def __init__(
        self,
        name: str,
        *,
        input: type[InputT],
        version: int = 1,
        timeout: Duration | None = DEFAULT_SAGA_TIMEOUT,
        key: Callable[[InputT], str] | None = None,
        after_end: Literal["reject", "rerun"] = "reject",
    ) -> None:
        self.name = name
        self.version = version
        self.input = input
        self._declared = DeclaredSaga(
            name=name,
            version=version,
            input=input,
            timeout=_microseconds(timeout, f"saga {name}"),
            key=key,
            after_end=after_end,
        )
        self._definition: Definition | None = None
        self._group: list[DeclaredStep] | None = None

    def __repr__(self) -> str:
        return f"<Saga {self.name} version {self.version}>"

    @overload
    def step(  # type: ignore[overload-overlap]
        self, handler: Callable[Params, Coroutine[Any, Any, ResultT]]
    ) -> AsyncStep[Params, ResultT]: ...
    @overload
    def step(self, handler: Callable[Params, ResultT]) -> SyncStep[Params, ResultT]: ...
    @overload
    def step(
        self,
        *,
        name: str | None = ...,
        retry: Retry = ...,
        timeout: Duration | None = ...,
        pivot: bool = ...,
        when: Callable[[InputT], bool] | None = ...,
        compensation: None = ...,
    ) -> StepDecorator: ...
    def step(
        self,
        handler: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        retry: Retry | None = None,
        timeout: Duration | None = DEFAULT_STEP_TIMEOUT,
        pivot: bool = False,
        when: Callable[[InputT], bool] | None = None,
        compensation: _Unset | None = _UNSET,
    ) -> Any:
        """Declare the next step; steps run in the order of their declarations.

        `timeout` (seconds or timedelta) is for one attempt. `pivot=True`: once it has succeeded nothing is undone any
        more. `when` skips the step if it is false of the input. `compensation=None` says that there is nothing to undo.
        Raises `DefinitionError` after the saga was given to a process manager: such a step would never be reached.
        """

        def declare(function: Callable[..., Any]) -> Step[..., Any]:
            if self._definition is not None:
                raise DefinitionError(
                    f"saga {self.name}: step {function.__name__} is unreachable, for it is declared after the saga "
                    "was given to a process manager; declare all steps first"
                )
            declared = DeclaredStep(
                name=name or function.__name__,
                handler=function,
                retry=retry,
                timeout=_microseconds(timeout, f"step {name or function.__name__}"),
                pivot=pivot,
                when=when,
                waived=compensation is None,
            )
            if self._group is not None:
                self._group.append(declared)
            else:
                self._declared.stages.append([declared])
            return (AsyncStep if declared.is_async else SyncStep)(declared)

        return declare if handler is None else declare(handler)

    @contextmanager
    def parallel(self) -> Generator[None]:
        """Let the steps declared inside run side by side; the next step waits for all of them."""
        if self._group is not None:
            raise DefinitionError(f"saga {self.name}: parallel() inside parallel(); declare one group after the other")
        self._group = []
        try:
            yield
            self._declared.stages.append(self._group)
        finally:
            self._group = None

    @property
    def definition(self) -> Definition:
        """Return the checked definition; raises `DefinitionError` with every mistake found."""
        if self._definition is None:
            self._definition = build(self._declared)
        return self._definition
