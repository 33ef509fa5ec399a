"""Steps that are sagas, as they are declared; they start nothing. The function of one makes the input of the child."""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar, cast

from sagalog.saga.steps import Params
from sagalog.saga.written import DeclaredStep

ChildInputT = TypeVar("ChildInputT")


class ChildStep(Generic[Params, ChildInputT]):
    """A declared child saga. Calling it makes the child's input as it was written, and starts nothing.

    Its result, for later steps, is a `ChildResult`.
    """

    def __init__(self, declared: DeclaredStep) -> None:
        self._declared = declared
        self.name = declared.name
        self.__doc__ = declared.handler.__doc__
        self.__wrapped__ = declared.handler

    def __repr__(self) -> str:
        return f"<Child {self.name}>"

    def __call__(self, *args: Params.args, **kwargs: Params.kwargs) -> ChildInputT:
        """Make the child's input as it was written, outside any saga."""
        return cast(ChildInputT, self._declared.handler(*args, **kwargs))


class ChildDecorator(Protocol[ChildInputT]):
    """What `saga.child(other)` gives: it takes a function that makes the input of the other saga."""

    def __call__(self, handler: Callable[Params, ChildInputT], /) -> ChildStep[Params, ChildInputT]:
        """Declare the step."""
        ...
