"""The inputs of `decide`: what can happen to a saga, each a frozen Struct with all that is needed.

Randomness (`jitter`, in [0, 1)) and times (microseconds since the epoch) are passed in, because the kernel has neither.
`last` is set when recorded history is decided again: it says whether that attempt was the last one.
"""

from typing import Literal

from msgspec import Raw, Struct

from sagalog.messages import Envelope
from sagalog.saga.events import EMPTY, AttributeData, Direction, ErrorInfo, Fork, Verb


class Start(Struct, frozen=True, gc=False):
    """A saga that does not exist yet begins.

    `parent` is the parent saga, of which it is step `parent_step`. `called_off`: it is only recorded so that nobody
    else can begin it. `attributes` are those that the input brings; `attributes_error` says why it brings none.
    `fork` is where it goes on from.
    """

    key: str
    input: Raw
    run: int
    correlation_id: str
    causation_id: str | None = None
    message: str | None = None
    parent: str | None = None
    parent_step: str | None = None
    parent_round: int = 0
    called_off: bool = False
    attributes: dict[str, AttributeData] = {}
    attributes_error: ErrorInfo | None = None
    fork: Fork | None = None


class ChildBegun(Struct, frozen=True, gc=False):
    """The child saga of a step was found or begun; `round` counts the step's earlier children."""

    step: str
    round: int
    child: str


class StartAgain(Struct, frozen=True, gc=False):
    """Somebody starts a saga with the key of this one, which may have ended."""

    correlation_id: str
    causation_id: str | None = None


class ActionSucceeded(Struct, frozen=True, gc=False):
    """An attempt of a step's action returned."""

    step: str
    attempt: int
    began: int
    result: Raw


class ActionFailed(Struct, frozen=True, gc=False):
    """An attempt of a step's action raised, timed out, or was lost with the process that ran it."""

    step: str
    attempt: int
    began: int | None
    error: ErrorInfo
    jitter: float = 0.5
    last: bool | None = None


class UndoSucceeded(Struct, frozen=True, gc=False):
    """An attempt of a step's compensation returned. `epoch` says which undoing of the step it was."""

    step: str
    epoch: int
    attempt: int
    began: int


class UndoFailed(Struct, frozen=True, gc=False):
    """An attempt of a step's compensation raised or timed out."""

    step: str
    epoch: int
    attempt: int
    began: int | None
    error: ErrorInfo
    jitter: float = 0.5
    last: bool | None = None


class RequestMade(Struct, frozen=True, gc=False):
    """The function of a request returned its command, which is not sent yet.

    `round` counts the commands of this step and direction; the same round has the same `command_id`.
    """

    step: str
    direction: Direction
    round: int
    attempt: int
    command_id: str
    name: str
    data: Raw


class TimerFired(Struct, frozen=True, gc=False):
    """The time that a step waits for may be over: for a reply, for an event, or of a sleep.

    `decide` compares the time with its own `now`, and with what the step waits for at that moment.
    """

    step: str
    direction: Direction
    attempt: int
    jitter: float = 0.5
    last: bool | None = None


class Receive(Struct, frozen=True, gc=False):
    """A message came for this saga: a reply, an event that a step waits for now or later, or one that starts sagas."""

    message: Envelope


class DeadlineReached(Struct, frozen=True, gc=False):
    """The time given to the whole saga may be over; `decide` compares it with its own `now`."""


class Act(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A person acts on the saga; the fields are those of the event `Action`. It is no news if its id was taken."""

    action_id: str
    verb: Verb
    actor: str
    reason: str
    step: str | None = None
    direction: Direction | None = None
    value: Raw = EMPTY
    waive: bool = False
    happened: bool | None = None
    until: int | None = None
    of_deadline: bool = False
    event: str | None = None
    fork: str | None = None


class Faulted(Struct, frozen=True, gc=False):
    """The process that runs the saga cannot go on with it, and trying again did not help."""

    error: ErrorInfo


Input = (
    Start
    | StartAgain
    | ActionSucceeded
    | ActionFailed
    | UndoSucceeded
    | UndoFailed
    | RequestMade
    | TimerFired
    | Receive
    | ChildBegun
    | DeadlineReached
    | Act
    | Faulted
)


def as_it_came(
    id: str,
    name: str,
    data: Raw,
    causation_id: str | None = None,
    *,
    kind: Literal["event", "note"] = "event",
    time: int = 0,
) -> Envelope:
    """Return a message rebuilt from its record. The other fields of its envelope decide nothing."""
    return Envelope(
        id=id, kind=kind, name=name, source="", correlation_id="", causation_id=causation_id, time=time, data=data
    )
