"""Puts the answers of routing, for sagas and choreographies, into a batch. It looks nothing up and writes nothing."""

from sagalog.clock import Clock, new_id
from sagalog.engine.bus.route_batch import Batch, inbox_row
from sagalog.engine.cycle import Decision, decision_of
from sagalog.engine.unmatched import parked_row
from sagalog.messages import Envelope
from sagalog.saga.choreography.definition import ChoreographyDefinition
from sagalog.saga.definition import Definition
from sagalog.saga.inputs import Receive, Start
from sagalog.saga.messages.route import Begin, Deliver, KnownSaga, Park
from sagalog.store import StatusRow


class RouteAnswers:
    """Puts the answers of one consumer's routing into batches."""

    def __init__(self, consumer: str, clock: Clock) -> None:
        self._consumer = consumer
        self._clock = clock

    def add(
        self, batch: Batch, position: int, message: Envelope, answer: Begin | Deliver | Park | None, now: int
    ) -> KnownSaga | None:
        """Add one answer to the batch, for the message at `position`; return the saga that it starts, if any."""
        match answer:
            case Begin(definition, start):
                saga_id = new_id(self._clock)
                batch.begun.append(_beginning(definition, saga_id, start, message, now))
                return KnownSaga(saga_id, definition.name, "started", start.run, message.id)
            case Deliver(saga_id):
                batch.inbox.append(inbox_row(saga_id, saga_id, position, message, now))
            case Park(reason):
                batch.parked.append(parked_row(self._clock, self._consumer, message, position, reason))
            case None:
                pass
        return None


def _beginning(definition: Definition, saga_id: str, start: Start, message: Envelope, now: int) -> Decision:
    """Return the first decision of a saga.

    A choreographed process also receives the message that starts it; a saga has what it needs in its input.
    """
    inputs = (start, Receive(message)) if isinstance(definition, ChoreographyDefinition) else (start,)
    decision = decision_of(definition, saga_id, None, inputs, now)
    assert decision is not None
    return decision


def known(row: StatusRow) -> KnownSaga:
    """Return what routing has to know of an existing saga."""
    return KnownSaga(row.saga_id, row.saga_name, row.status, row.run, row.causation_id)
