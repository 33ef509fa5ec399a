"""What each kind of consumer makes of messages; the rules are pure functions in `saga`, the lookups are here."""

from sagalog.clock import Clock
from sagalog.engine.bus.route_batch import Batch, Found
from sagalog.messages import Envelope
from sagalog.saga.messages.participants import ParticipantDefinition
from sagalog.store import InboxRow


class ParticipantRoutes:
    """Give a participant every message that it has a handler for; one lane for each correlation id."""

    def __init__(self, definition: ParticipantDefinition, clock: Clock) -> None:
        self.consumer = f"participant:{definition.name}"
        self._definition = definition
        self._clock = clock

    async def route(self, found: Found, batch: Batch) -> None:
        """Add a row to the participant's inbox for each message that it handles."""
        now = self._clock.now()
        handlers = self._definition.handlers
        for position, envelope in found:
            taken_by = handlers.get(envelope.name)
            if taken_by and taken_by[0].kind == envelope.kind:
                batch.inbox.append(inbox_row(self.consumer, envelope.correlation_id, position, envelope, now))


def inbox_row(recipient: str, lane: str, position: int, envelope: Envelope, now: int) -> InboxRow:
    """Return the row that says who is to take a message."""
    return InboxRow(recipient, envelope.id, lane, envelope.name, now, now, position=position)
