"""Steps that are sagas, as they are declared; they start nothing. The function of one makes the input of the child."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from sagalog.saga.step_handles import Params, SyncHandle

ChildInputT = TypeVar("ChildInputT")


class ChildStep(SyncHandle[Params, ChildInputT]):
    """A declared child saga. Calling it makes the child's input as it was written, and starts nothing.

    Its result, for later steps, is a `ChildResult`.
    """

    _KIND = "Child"


class ChildDecorator(Protocol[ChildInputT]):
    """What `saga.child(other)` gives: it takes a function that makes the input of the other saga."""

    def __call__(self, handler: Callable[Params, ChildInputT], /) -> ChildStep[Params, ChildInputT]:
        """Declare the step."""
        ...
