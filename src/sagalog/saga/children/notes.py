"""What a saga and the saga that it is a part of tell each other: notes, and the result of a child; values only."""

from typing import Any, Final, Literal

from msgspec import Raw, Struct

from sagalog.saga.events import EMPTY, ErrorInfo

# The names under which notes travel.
CHILD_ENDED: Final = "sagalog.ChildEnded"
CHILD_STUCK: Final = "sagalog.ChildStuck"
CHILD_RESUMED: Final = "sagalog.ChildResumed"
UNDO_CHILD: Final = "sagalog.UndoChild"
NOTES: Final = frozenset((CHILD_ENDED, CHILD_STUCK, CHILD_RESUMED, UNDO_CHILD))


ChildStatus = Literal["completed", "failed", "stuck", "running"]


class ChildResult(Struct, frozen=True):
    """The result of a step that is a saga: its id, how it ended, and the results of its steps by name, as plain JSON.

    `data` is empty if it is over the cap of a payload; the child's own result has it all.
    """

    saga_id: str
    status: Literal["completed"]
    data: dict[str, Any] = {}


class ChildNote(Struct, frozen=True, omit_defaults=True):
    """What a child says of itself: which step of its parent it is, and where it is now.

    `round` counts the children that this step had before. With "completed" there is a `result`, a `ChildResult` as
    JSON; with "failed" the `error` that the step has from it.
    """

    step: str
    round: int
    saga: str
    child: str
    status: ChildStatus
    result: Raw = EMPTY
    error: ErrorInfo | None = None


class UndoNote(Struct, frozen=True):
    """What a parent asks of a child: undo everything, for the step is undone."""

    parent: str
    step: str
