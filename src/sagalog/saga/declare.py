"""How a saga is declared: `Saga` and its `step` decorator; nothing is checked before it is built."""

from collections.abc import Callable, Coroutine, Generator, Iterable
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Generic, Literal, TypeVar, cast, overload

from sagalog.errors import DefinitionError
from sagalog.saga.check import build
from sagalog.saga.children.declare import ChildDecorator, ChildInputT, ChildStep
from sagalog.saga.definition import Definition
from sagalog.saga.durations import Duration
from sagalog.saga.identifiers import as_text
from sagalog.saga.messages.declare import (
    AsyncRequest,
    EventT,
    ForEachRequestDecorator,
    Refusals,
    ReplyT,
    RequestDecorator,
    RequestStep,
    SleepStep,
    SyncRequest,
    WaitStep,
    snake_case,
)
from sagalog.saga.options import UNSET, Unset, flag, microseconds, shown, step_name, waives
from sagalog.saga.retry import Retry
from sagalog.saga.step_handles import (
    DEFAULT_STEP_TIMEOUT,
    AsyncStep,
    ElementT,
    ForEachDecorator,
    Params,
    ResultT,
    Step,
    StepDecorator,
    SyncStep,
)
from sagalog.saga.written import (
    DeclaredChild,
    DeclaredReplies,
    DeclaredSaga,
    DeclaredStart,
    DeclaredStep,
    fan_out,
    still,
)

__all__ = ["AsyncStep", "Saga", "Step", "StepDecorator", "SyncStep"]

InputT = TypeVar("InputT")

DEFAULT_SAGA_TIMEOUT = timedelta(days=1)


class Saga(Generic[InputT]):
    """A saga as it is declared: a long transaction over several services that either finishes or is undone.

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
        self.name: str = as_text(name)
        self.version = version
        self.input = input
        self._declared = DeclaredSaga(
            name=self.name,
            version=version,
            input=input,
            timeout=microseconds(timeout, f"saga {name}"),
            key=key,
            after_end=after_end,
        )
        self._definition: Definition | None = None
        self._is_being_built = False
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
    @overload
    def step(
        self,
        *,
        for_each: Callable[[InputT], Iterable[ElementT]],
        at_once: bool | int = ...,
        name: str | None = ...,
        retry: Retry = ...,
        timeout: Duration | None = ...,
        when: Callable[[InputT], bool] | None = ...,
        compensation: None = ...,
    ) -> ForEachDecorator[ElementT]: ...
    def step(
        self,
        handler: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        retry: Retry | None = None,
        timeout: Duration | None = DEFAULT_STEP_TIMEOUT,
        pivot: bool = False,
        when: Callable[[InputT], bool] | None = None,
        for_each: Callable[[InputT], Iterable[Any]] | None = None,
        at_once: bool | int = False,
        compensation: Unset | None = UNSET,
    ) -> Any:
        """Declare the next step; steps run in the order of their declarations.

        `timeout` (seconds or timedelta) is for one attempt. `pivot=True`: once it has succeeded nothing is undone any
        more. `when` skips the step if it is false of the input. `compensation=None` says that there is nothing to undo.
        `for_each` makes the step once for each element that it finds in the input, one after the other, or `at_once`
        (True: up to 100 at a time, or say how many); the action takes the element first.
        Raises `DefinitionError` after the saga was given to a process manager: such a step would never be reached.
        """

        def declare(function: Callable[..., Any]) -> Step[..., Any]:
            what = f"step {step_name(name, function)}"
            declared = DeclaredStep(
                name=step_name(name, function),
                handler=function,
                retry=retry,
                timeout=microseconds(timeout, what),
                pivot=flag(pivot, "pivot", what),
                when=when,
                waived=waives(compensation, what),
                fan=fan_out(for_each, at_once),
            )
            self._add(declared)
            return (AsyncStep if declared.is_async else SyncStep)(declared)

        return declare if handler is None else declare(handler)

    @overload
    def request(
        self,
        reply: type[ReplyT],
        *,
        refused: Refusals = ...,
        timeout: Duration = ...,
        name: str | None = ...,
        retry: Retry | None = ...,
        pivot: bool = ...,
        when: Callable[[InputT], bool] | None = ...,
        compensation: None = ...,
    ) -> RequestDecorator[ReplyT]: ...
    @overload
    def request(
        self,
        reply: type[ReplyT],
        *,
        for_each: Callable[[InputT], Iterable[ElementT]],
        at_once: bool | int = ...,
        refused: Refusals = ...,
        timeout: Duration = ...,
        name: str | None = ...,
        retry: Retry | None = ...,
        when: Callable[[InputT], bool] | None = ...,
        compensation: None = ...,
    ) -> ForEachRequestDecorator[ElementT, ReplyT]: ...
    def request(
        self,
        reply: type[ReplyT],
        *,
        refused: Refusals = (),
        timeout: Duration = DEFAULT_STEP_TIMEOUT,
        name: str | None = None,
        retry: Retry | None = None,
        pivot: bool = False,
        when: Callable[[InputT], bool] | None = None,
        for_each: Callable[[InputT], Iterable[Any]] | None = None,
        at_once: bool | int = False,
        compensation: Unset | None = UNSET,
    ) -> Any:
        """Declare the next step as a request: its function returns a command, and the `reply` is the step's result.

        The events of `refused`, and `CommandRefused`, say that it was definitely not done. No answer within `timeout`
        (seconds or a timedelta) leaves that unknown. It is sent once unless `retry` says how often the same command is
        sent again; after the pivot for a day. The rest is as for `step`.
        """

        def declare(function: Callable[..., Any]) -> RequestStep[..., Any, Any]:
            what = f"step {step_name(name, function)}"
            declared = DeclaredStep(
                name=step_name(name, function),
                handler=function,
                retry=retry,
                timeout=microseconds(timeout, what),
                pivot=flag(pivot, "pivot", what),
                when=when,
                waived=waives(compensation, what),
                kind="request",
                replies=DeclaredReplies(reply, refused),
                fan=fan_out(for_each, at_once),
            )
            self._add(declared)
            return (AsyncRequest if declared.is_async else SyncRequest)(declared)

        return declare

    @overload
    def child(
        self,
        saga: "Saga[ChildInputT]",
        *,
        name: str | None = ...,
        pivot: bool = ...,
        when: Callable[[InputT], bool] | None = ...,
        compensation: None = ...,
    ) -> ChildDecorator[ChildInputT]: ...
    @overload
    def child(
        self,
        saga: "Saga[ChildInputT]",
        *,
        input: Callable[[InputT], ChildInputT],
        name: str | None = ...,
        pivot: bool = ...,
        when: Callable[[InputT], bool] | None = ...,
        compensation: None = ...,
    ) -> ChildStep[[InputT], ChildInputT]: ...
    def child(
        self,
        saga: "Saga[Any]",
        *,
        input: Callable[[InputT], Any] | None = None,
        name: str | None = None,
        pivot: bool = False,
        when: Callable[[InputT], bool] | None = None,
        compensation: Unset | None = UNSET,
    ) -> Any:
        """Declare the next step as another saga, which is started, awaited, and undone as a whole.

        Its input is made by `input` from this saga's, or by the decorated function, whose parameters are bound as a
        step's. The step has the name of the function, or of the other saga, unless given. Its result is a
        `ChildResult`. If the child fails, the step was refused; if this saga is rolled back, the child is, too, unless
        `compensation=None` says that there is nothing to undo.
        """
        if not isinstance(cast(object, saga), Saga):
            raise DefinitionError(f"expected another Saga for a child of saga {self.name}, found {shown(saga)}")

        def declare(function: Callable[..., Any]) -> ChildStep[..., Any]:
            named = (
                step_name(name, function) if input is None else step_name(saga.name if name is None else name, function)
            )
            what = f"child {named}"
            declared = DeclaredStep(
                name=named,
                handler=function,
                retry=None,
                timeout=None,
                pivot=flag(pivot, "pivot", what),
                when=when,
                waived=waives(compensation, what),
                kind="child",
                child=DeclaredChild(saga, input is not None),
            )
            self._add(declared)
            return ChildStep(declared)

        return declare if input is None else declare(input)

    def wait_for(
        self,
        event: type[EventT],
        *,
        key: Callable[[EventT], str],
        timeout: Duration | None = None,
        name: str | None = None,
        when: Callable[[InputT], bool] | None = None,
    ) -> WaitStep[EventT]:
        """Declare the next step as a wait for an event, which is its result.

        `key` finds the saga's key in the event. Events that come before the saga waits are kept, each is taken once. No
        event within `timeout` (seconds or a timedelta; None: as long as the saga has time) rolls the saga back. The
        step has the event's name in snake case unless given.
        """
        named = step_name(snake_case(getattr(event, "__name__", "event")) if name is None else name, event)
        over = microseconds(timeout, f"wait {named}")
        self._add(still(named, "wait", over, when, event, key))
        return WaitStep(named, event)

    def sleep(
        self, duration: Duration, *, name: str = "sleep", when: Callable[[InputT], bool] | None = None
    ) -> SleepStep:
        """Declare the next step as a pause of `duration` (seconds or a timedelta), which a restart does not prolong."""
        named = step_name(name, self.sleep)
        self._add(still(named, "sleep", microseconds(duration, f"sleep {named}"), when))
        return SleepStep(named)

    def started_by(
        self, event: type[EventT], *, input: Callable[[EventT], InputT], key: Callable[[EventT], str] | None = None
    ) -> None:
        """Declare that an event starts this saga: `input` makes its input of the event, and `key` its key.

        Without `key` the saga's own finds it in the input. Several events may start a saga. What one does that comes
        with a key that was used is said by `after_end`; it never makes a second saga while the first is open.
        """
        self._check_open(f"started_by {getattr(event, '__name__', event)}")
        self._declared.starts.append(DeclaredStart(event, input, key))

    def _add(self, declared: DeclaredStep) -> None:
        self._check_open(f"step {declared.name}")
        if self._group is not None:
            self._group.append(declared)
        else:
            self._declared.stages.append([declared])

    def _check_open(self, what: str) -> None:
        if self._definition is not None:
            raise DefinitionError(
                f"saga {self.name}: {what} is unreachable, for it is declared after the saga "
                "was given to a process manager; declare all steps first"
            )

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
            if self._is_being_built:
                raise DefinitionError(f"saga {self.name} is a step of itself, so it would never end")
            self._is_being_built = True
            try:
                self._definition = build(self._declared)
            finally:
                self._is_being_built = False
        return self._definition
