"""Routing for a participant: one inbox row for each message that it handles, or note of a saga. It looks nothing up."""

from sagalog.clock import Clock
from sagalog.engine.bus.route_batch import Batch, Found, inbox_row
from sagalog.messages import Unreadable
from sagalog.saga.messages.handlers import told_of
from sagalog.saga.messages.participants import ParticipantDefinition


class ParticipantRoutes:
    """The consumer of one participant: it takes the messages it has a handler for, in lanes by correlation id."""

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
            if not taken_by or taken_by[0].kind != envelope.kind:
                continue
            if envelope.kind == "note" and not isinstance(envelope, Unreadable):
                told = told_of(envelope.data)
                if not any(one.takes(told) for one in taken_by):
                    continue
                batch.notes[envelope.id] = envelope
            batch.inbox.append(inbox_row(self.consumer, envelope.correlation_id, position, envelope, now))
