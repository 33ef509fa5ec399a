"""An action on its way to a saga that a worker drives: a note in the saga's inbox. Values only."""

from typing import Final

import msgspec
from msgspec import Raw

from sagalog.messages import Envelope
from sagalog.saga.inputs import Act, Input, Receive

# The name of the note as a message.
ACT: Final = "sagalog.Act"


def note_of(act: Act) -> Raw:
    """Return the data of the note that asks for an action."""
    return Raw(msgspec.json.encode(act))


def cancel_by(message: Envelope) -> Act:
    """Return the cancel that an event asks for, as the saga declares (`cancelled_by`)."""
    reason = f"message {message.id}"
    return Act(action_id=message.id, verb="cancel", actor=f"event {message.name}", reason=reason, event=message.name)


def action_in(input: Input) -> Act | None:
    """Return the action that an input is, or that its note asks for; None if it is something else."""
    if type(input) is Act:
        return input
    if type(input) is Receive and input.message.name == ACT:
        return msgspec.json.decode(input.message.data, type=Act)
    return None
