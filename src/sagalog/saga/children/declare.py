"""Steps that are sagas, as they are declared. The function of such a step returns the child's input."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from sagalog.saga.step_handles import Params, SyncHandle

ChildInputT = TypeVar("ChildInputT")


class ChildStep(SyncHandle[Params, ChildInputT]):
    """A declared child saga. Calling it calls the function that returns the child's input, and starts nothing.

    Its result, for later steps, is a `ChildResult`.
    """

    _KIND = "Child"


class ChildDecorator(Protocol[ChildInputT]):
    """What `saga.child(other)` returns: it takes a function that returns the input of the other saga."""

    def __call__(self, handler: Callable[Params, ChildInputT], /) -> ChildStep[Params, ChildInputT]:
        """Declare the step."""
        ...
