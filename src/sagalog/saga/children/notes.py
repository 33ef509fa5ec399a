"""The notes that a parent saga and its child send each other, and the result of a child; values only."""

from typing import Any, Final, Literal

from msgspec import Raw, Struct

from sagalog.saga.events import EMPTY, ErrorInfo

# The names of the notes as messages.
CHILD_ENDED: Final = "sagalog.ChildEnded"
CHILD_STUCK: Final = "sagalog.ChildStuck"
CHILD_RESUMED: Final = "sagalog.ChildResumed"
UNDO_CHILD: Final = "sagalog.UndoChild"
NOTES: Final = frozenset((CHILD_ENDED, CHILD_STUCK, CHILD_RESUMED, UNDO_CHILD))


ChildStatus = Literal["completed", "failed", "stuck", "running"]


class ChildResult(Struct, frozen=True):
    """The result of a step that is a saga: the child's id, its end, and its steps' results by name, as plain JSON.

    `data` is empty if it would exceed the size limit of a payload; the child's own result is complete.
    """

    saga_id: str
    status: Literal["completed"]
    data: dict[str, Any] = {}


class ChildNote(Struct, frozen=True, omit_defaults=True):
    """A note from a child: its step in the parent, and the child's status.

    `round` counts the step's earlier children. With "completed" there is a `result`, a `ChildResult` as JSON; with
    "failed" there is an `error`, which becomes the error of the step.
    """

    step: str
    round: int
    saga: str
    child: str
    status: ChildStatus
    result: Raw = EMPTY
    error: ErrorInfo | None = None


class UndoNote(Struct, frozen=True):
    """A note from a parent: the child must undo everything, because the step is undone."""

    parent: str
    step: str
