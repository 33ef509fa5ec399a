"""How a saga is declared: `Saga` and its `step` decorator. Most checks are made later, when it is built."""

from collections.abc import Callable, Coroutine, Generator, Iterable
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Generic, Literal, TypeVar, cast, overload

from sagalog.errors import DefinitionError
from sagalog.saga.attributes import Attributes
from sagalog.saga.check import build
from sagalog.saga.children.declare import ChildDecorator, ChildInputT, ChildStep
from sagalog.saga.children.notes import ChildResult
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
    DeclaredCancel,
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
    """A declared saga: a long transaction over several services that either finishes or is undone.

    `input` is the type that a saga is started with. `timeout` (seconds or timedelta; None: no deadline) is for the
    whole saga. `key` returns the business key of an input: the same key means the same saga. `after_end` says what a
    start does with the key of a saga that has ended: "reject" returns the ended saga and records the refusal,
    "rerun" begins a new run. `attributes` returns small values of an input, by name, by which the saga is found.
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
        attributes: Callable[[InputT], Attributes] | None = None,
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
            attributes=attributes,
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
        attributes: Callable[[Any], Attributes] | None = ...,
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
        attributes: Callable[[Any], Attributes] | None = None,
    ) -> Any:
        """Declare the next step; steps run in the order of their declarations.

        `timeout` (seconds or timedelta) is for one attempt. `pivot=True`: once this step has succeeded, nothing is
        undone any more. The step is skipped if `when` returns false for the input. `compensation=None` says that there
        is nothing to undo. `for_each` returns elements of the input; the step is made once for each of them, one after
        the other, or `at_once` (True: up to 100 at a time, or a number). The element is the action's first argument.
        `attributes` returns attributes of the saga from the result: they are added, or replace those of the same name.
        Raises `DefinitionError` after the saga was given to a process manager.
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
                attributes=attributes,
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
        attributes: Callable[[ReplyT], Attributes] | None = ...,
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
        attributes: Callable[[Any], Attributes] | None = None,
    ) -> Any:
        """Declare the next step as a request: its function returns a command, and the `reply` is the step's result.

        An event of `refused`, or `CommandRefused`, says that it was definitely not done. If no answer comes within
        `timeout` (seconds or a timedelta), the outcome is unknown. The command is sent once unless `retry` says how
        often it is sent again; after the pivot, it is sent again for a day. The rest is as for `step`.
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
                attributes=attributes,
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
        attributes: Callable[[ChildResult], Attributes] | None = ...,
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
        attributes: Callable[[ChildResult], Attributes] | None = ...,
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
        attributes: Callable[[Any], Attributes] | None = None,
    ) -> Any:
        """Declare the next step as another saga, which is started, awaited, and undone as a whole.

        `input`, or the decorated function, makes the child's input; that function's parameters are bound as those of a
        step. The step is named after the function, or after the other saga, unless `name` is given. Its result is a
        `ChildResult`. If the child fails, the step is refused. If this saga is rolled back, the child is rolled back,
        too, unless `compensation=None` says that there is nothing to undo.
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
                attributes=attributes,
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
        attributes: Callable[[EventT], Attributes] | None = None,
    ) -> WaitStep[EventT]:
        """Declare the next step as a wait for an event, which is its result.

        `key` returns the key of the saga that the event is for. Events that come before the saga waits are kept, and
        each is used once. If none comes within `timeout` (seconds or a timedelta; None: until the saga's deadline), the
        saga is rolled back. The step is named after the event, in snake case, unless `name` is given.
        """
        named = step_name(snake_case(getattr(event, "__name__", "event")) if name is None else name, event)
        over = microseconds(timeout, f"wait {named}")
        self._add(still(named, "wait", over, when, event, key, attributes))
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
        """Declare that an event starts this saga: `input` returns the saga's input, and `key` its key, from the event.

        Without `key`, the saga's own `key` is asked for the input. Several events may start a saga. If the key was used
        before, `after_end` decides; a second saga is never started while the first one is open.
        """
        self._check_open(f"started_by {getattr(event, '__name__', event)}")
        self._declared.starts.append(DeclaredStart(event, input, key))

    def cancelled_by(
        self, event: type[EventT], *, key: Callable[[EventT], str], before_start: Literal["park", "prevent"] = "park"
    ) -> None:
        """Declare that an event cancels this saga: it goes back as when a person cancels it; `key` finds the saga.

        After the pivot, after the end, or a second time, the event is recorded in the saga and changes nothing. One
        that comes before there is such a saga is parked, or with "prevent" it sees to it that the saga cannot begin.
        """
        self._check_open(f"cancelled_by {getattr(event, '__name__', event)}")
        self._declared.cancels.append(DeclaredCancel(event, key, before_start))

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
        """Run the steps declared inside side by side; the next step waits for all of them."""
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
