"""What can be told to a saga: the inputs of `decide`, each a frozen Struct that brings all it needs with it.

Randomness (`jitter`, in [0, 1)) and times (microseconds since the epoch) come in here, because the kernel has neither.
"""

from msgspec import Raw, Struct

from sagalog.messages import Envelope
from sagalog.saga.events import ErrorInfo


class Start(Struct, frozen=True, gc=False):
    """Begin a saga that does not exist yet."""

    key: str
    input: Raw
    run: int
    correlation_id: str
    causation_id: str | None = None


class StartAgain(Struct, frozen=True, gc=False):
    """Begin a saga whose key has been used by one that may have ended."""

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


class DeadlineReached(Struct, frozen=True, gc=False):
    """The time given to the whole saga may be over; `decide` compares it with its own `now`."""


class Resume(Struct, frozen=True, gc=False):
    """A person lets a stuck saga go on."""

    actor: str
    reason: str


class Receive(Struct, frozen=True, gc=False):
    """A message has come for the saga."""

    message: Envelope


Input = (
    Start
    | StartAgain
    | ActionSucceeded
    | ActionFailed
    | UndoSucceeded
    | UndoFailed
    | DeadlineReached
    | Resume
    | Receive
)
