"""The state of a saga after some of its events: values that `evolve` makes and all other code only reads.

They hold only plain values and form no reference cycles, so the garbage collector need not track what they consist of.
"""

from typing import Generic, Literal, TypeVar

from msgspec import Raw, Struct
from msgspec.structs import replace

from sagalog.saga.events import AttributeData, Direction, ErrorInfo, Kind
from sagalog.saga.growing import Entries, Ids
from sagalog.saga.transitions import Status

# Status of a step's action. No entry: not begun, or its first attempt is under way (as the event before implies).
# "dropped": a wait for an event or a time that was ended because the saga was rolled back.
ActionStatus = Literal["open", "retrying", "succeeded", "refused", "unknown", "skipped", "dropped"]
# Status of a step's compensation. "none": not planned. "skipped": planned, but then the action was refused.
UndoStatus = Literal["none", "pending", "retrying", "compensated", "failed", "waived", "skipped"]
StatusT = TypeVar("StatusT", bound=str)

CommandStatus = Literal["sent", "succeeded", "refused", "unanswered"]


class Waiting(Struct, frozen=True, omit_defaults=True, gc=False):
    """What a step waits for besides its handler: a reply, an event, or a time. `until` None: without limit."""

    since: int
    until: int | None = None
    attempt: int = 1


class CommandState(Struct, frozen=True, omit_defaults=True, gc=False):
    """A sent command and its outcome; `data` is kept until it is answered, so that it can be sent again.

    `round` counts the commands of this step and direction. `cause` is the message that led to it (None: the saga).
    """

    name: str
    step: str
    direction: Direction
    round: int
    issued: int
    cause: str | None = None
    data: Raw | None = None
    status: CommandStatus = "sent"
    sendings: int = 1
    answered: int | None = None


class Kept(Struct, frozen=True, omit_defaults=True, gc=False):
    """An event that came before the step that waits for it."""

    message: str
    name: str
    data: Raw


class Side(Struct, Generic[StatusT], frozen=True, omit_defaults=True, gc=False):
    """One direction of a step, its action or its compensation: its status, and how its last attempt went.

    `attempts` is the number of the last attempt, which `began` and `ended` at those times. `error` is the last failure,
    and `retry_at` when the next attempt is due. `forgiven` counts attempts that a resume took out of the retry budget;
    `since` is when the first attempt of the budget began, once one has failed. `command` is the id of the last command
    sent; `round` counts how often a resume, or a late success, led to a new command.
    """

    status: StatusT
    attempts: int = 0
    began: int | None = None
    ended: int | None = None
    error: ErrorInfo | None = None
    retry_at: int | None = None
    forgiven: int = 0
    since: int | None = None
    waiting: Waiting | None = None
    command: str | None = None
    round: int = 0


NOT_BEGUN: Side[ActionStatus] = Side("open")
NOT_ASKED: Side[UndoStatus] = Side("none")
PLANNED: Side[UndoStatus] = Side("pending")


class StepState(Struct, frozen=True, omit_defaults=True, gc=False):
    """One step: how its action went and, once the saga is rolled back, how its compensation goes.

    `late`: the action succeeded after it had been given up. `epoch` counts how often the step had to be undone: a
    success that arrives after an empty compensation needs one more. `child` is the id of the child saga, for a step
    that is one.
    """

    action: Side[ActionStatus]
    undo: Side[UndoStatus]
    result: Raw | None = None
    late: bool = False
    epoch: int = 0
    child: str | None = None
    child_is_stuck: bool = False

    def side(self, direction: Direction) -> Side[ActionStatus] | Side[UndoStatus]:
        """Return the state of one direction of the step."""
        return self.action if direction == "action" else self.undo

    def with_side(self, direction: Direction, side: Side[ActionStatus] | Side[UndoStatus]) -> "StepState":
        """Return the step with one direction replaced."""
        return replace(self, action=side) if direction == "action" else replace(self, undo=side)


UNTOUCHED = StepState(NOT_BEGUN, NOT_ASKED)

_OPEN = frozenset(("open", "pending", "retrying"))
_TO_UNDO = frozenset(("pending", "retrying", "failed"))


def is_open(side: Side[ActionStatus] | Side[UndoStatus]) -> bool:
    """Tell whether an attempt in this direction may be under way or still to come."""
    return side.status in _OPEN


def is_done(step: StepState) -> bool:
    """Tell whether the action needs nothing more: it succeeded or was skipped."""
    return step.action.status in ("succeeded", "skipped")


def is_left(step: StepState) -> bool:
    """Tell whether the step succeeded and no compensation of it is planned."""
    return step.action.status == "succeeded" and step.undo.status == "none"


def is_to_undo(step: StepState) -> bool:
    """Tell whether a compensation is planned and has not succeeded; one that failed for good counts, too."""
    return step.undo.status in _TO_UNDO


class Parent(Struct, frozen=True, omit_defaults=True, gc=False):
    """The parent of a saga, and the parent's step; `round` counts that step's earlier children."""

    saga_id: str
    step: str
    round: int = 0


class FanOut(Struct, frozen=True, omit_defaults=True, gc=False):
    """A step with `for_each=` as a whole, apart from its parts, which are steps of their own.

    The first `begun` of `elements` were begun, at most `width` at a time. `open` are the parts under way or waiting for
    a retry, `done` counts the successes, `undo` are the parts still to be undone, the latest first.
    """

    elements: tuple[Raw, ...]
    width: int
    begun: int
    open: tuple[int, ...]
    done: int = 0
    undo: tuple[int, ...] = ()


class SagaState(Struct, frozen=True, omit_defaults=True, dict=True):
    """One saga after `version` events. `cause` is why it was rolled back; it stays to the end of its history.

    `commands` are all commands it ever sent, by id, so that late replies find it, too. `received` are the ids of all
    messages it took, `kept` the events that wait for their step, `last_message` the id of the one that moved it last.
    `marked`: some names of steps are marked in identities, see `effect_id`. `attributes_error` is the last mistake that
    was made in finding `attributes`. `paused`: who paused it; nothing is begun until somebody ends that. `acts` are the
    ids of all actions, taken and refused. `actions` are what may be done about a stuck saga, and `pending` what is
    still to be undone, or what an abandoned one leaves. `forked_from` and `forked_to` are the sagas before
    and after it.

    `steps`, `commands` and `received` are changed by `saga/growing.py` only, since there may be ten thousand of them.
    Beside its fields a state may have what was found out about it (in `__dict__`, see `saga/undo_front.py`). That is
    neither compared nor encoded, and found out again where it is missing.
    """

    saga: str
    definition_version: int
    digest: str
    key: str
    run: int
    input: Raw
    correlation_id: str
    causation_id: str | None
    started: int
    deadline: int | None
    status: Status
    version: int
    updated: int
    steps: Entries[StepState]
    settled: int = 0
    rolling_back: bool = False
    plan: tuple[str, ...] = ()
    cause: ErrorInfo | None = None
    error: ErrorInfo | None = None
    reason: str | None = None
    pending: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    ended: int | None = None
    refused_starts: int = 0
    commands: Entries[CommandState] = {}
    received: Ids = ()
    kept: tuple[Kept, ...] = ()
    last_message: str | None = None
    fans: dict[str, FanOut] = {}
    kind: Kind = "saga"
    parent: Parent | None = None
    undo_asked: bool = False
    marked: bool = False
    attributes: dict[str, AttributeData] = {}
    attributes_error: ErrorInfo | None = None
    paused: str | None = None
    acts: tuple[str, ...] = ()
    forked_from: str | None = None
    forked_to: str | None = None
