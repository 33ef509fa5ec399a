"""An action on its way to a saga that a worker drives: a note in the saga's inbox. Values only."""

from typing import Final

import msgspec
from msgspec import Raw

from sagalog.saga.inputs import Act, Input, Receive

# The name of the note as a message.
ACT: Final = "sagalog.Act"


def note_of(act: Act) -> Raw:
    """Return the data of the note that asks for an action."""
    return Raw(msgspec.json.encode(act))


def action_in(input: Input) -> Act | None:
    """Return the action that an input is, or that its note asks for; None if it is something else."""
    if type(input) is Act:
        return input
    if type(input) is Receive and input.message.name == ACT:
        return msgspec.json.decode(input.message.data, type=Act)
    return None
