"""The inputs of `decide`: what can happen to a saga, each a frozen Struct that brings all it needs with it.

Randomness (`jitter`, in [0, 1)) and times (microseconds since the epoch) come in here, because the kernel has neither.
`last` is known of a recorded attempt only: whether it was the last one, which the policy of today need not say.
"""

from typing import Literal

from msgspec import Raw, Struct

from sagalog.messages import Envelope
from sagalog.saga.events import Direction, ErrorInfo


class Start(Struct, frozen=True, gc=False):
    """A saga that does not exist yet is to begin.

    `parent` is the saga of which it is step `parent_step`. It is `called_off` if it is only to be there, so that nobody
    else can begin it.
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


class ChildBegun(Struct, frozen=True, gc=False):
    """The saga that a step is was found or begun; `round` says how many others the step was before."""

    step: str
    round: int
    child: str


class StartAgain(Struct, frozen=True, gc=False):
    """Somebody wants to begin a saga whose key was used by this one, which may have ended."""

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

    `round` says which command of the step and the direction it is; the same round has the same `command_id`.
    """

    step: str
    direction: Direction
    round: int
    attempt: int
    command_id: str
    name: str
    data: Raw


class TimerFired(Struct, frozen=True, gc=False):
    """The time for which a step waits may be over: for a reply, for an event, or for time to pass.

    `decide` compares it with its own `now`, and with what the step waits for by then.
    """

    step: str
    direction: Direction
    attempt: int
    jitter: float = 0.5
    last: bool | None = None


class Receive(Struct, frozen=True, gc=False):
    """A message came for this saga: a reply, an event that it waits for or will, or an event that is to start it."""

    message: Envelope


class DeadlineReached(Struct, frozen=True, gc=False):
    """The time given to the whole saga may be over; `decide` compares it with its own `now`."""


class Resume(Struct, frozen=True, gc=False):
    """A person lets a stuck saga go on."""

    actor: str
    reason: str


class Faulted(Struct, frozen=True, gc=False):
    """Whoever runs the saga cannot go on with it, and trying again has not helped."""

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
    | Resume
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
    """Return a message of which only its record is left: from where it came nobody decides by."""
    return Envelope(
        id=id, kind=kind, name=name, source="", correlation_id="", causation_id=causation_id, time=time, data=data
    )
