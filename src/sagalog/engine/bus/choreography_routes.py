"""What the choreographies of one name make of messages: the rules are in `saga`, the lookups are here."""

from collections.abc import Sequence

from sagalog.clock import Clock, new_id
from sagalog.engine.blocking import Blocking
from sagalog.engine.bus.intake import parked_row
from sagalog.engine.bus.participant_routes import inbox_row
from sagalog.engine.bus.route_batch import Batch, Found
from sagalog.engine.bus.saga_routes import known
from sagalog.engine.cycle import append_of
from sagalog.messages import Envelope
from sagalog.saga.choreography.definition import ChoreographyDefinition
from sagalog.saga.choreography.route import ChoreographyRouting, KeyedEvent, KnownProcesses
from sagalog.saga.decide import advance
from sagalog.saga.definition import Definition
from sagalog.saga.inputs import Receive, Start
from sagalog.saga.messages.route import Begin, Deliver, KnownSaga, Park
from sagalog.saga.react import react
from sagalog.store import Append, Store


class ChoreographyRoutes:
    """Follow the events of one choreography; `definitions` are its loaded versions."""

    def __init__(
        self, definitions: Sequence[ChoreographyDefinition], store: Store, blocking: Blocking, clock: Clock
    ) -> None:
        self._routing = ChoreographyRouting(definitions)
        self.consumer = f"choreography:{self._routing.name}"
        self._store = store
        self._blocking = blocking
        self._clock = clock

    async def route(self, found: Found, batch: Batch) -> None:
        """Add the processes that begin, rows for the inboxes of those that go on, and what has no key."""
        events = self._routing.ask(envelope for _, envelope in found)
        if not events:
            return
        positions = {envelope.id: position for position, envelope in found}
        processes = await self._processes(events)
        now = self._clock.now()
        for event in events:
            message = event.message
            position = positions[message.id]
            match self._routing.answer(event, processes):
                case Begin(definition, start):
                    saga_id = new_id(self._clock)
                    batch.starts.append(begin(definition, saga_id, start, message, now))
                    begun = KnownSaga(saga_id, definition.name, "started", start.run, message.id)
                    processes.add(message.correlation_id, start.key, begun)
                case Deliver(saga_id):
                    batch.inbox.append(inbox_row(saga_id, saga_id, position, message, now))
                case Park(reason):
                    batch.parked.append(parked_row(self._clock, self.consumer, message, position, reason))

    async def _processes(self, events: Sequence[KeyedEvent]) -> KnownProcesses:
        read, store, name = self._blocking.read, self._store, self._routing.name
        found = KnownProcesses()
        keys = list(dict.fromkeys(event.key for event in events if event.problem is None))
        correlation_ids = list(dict.fromkeys(event.message.correlation_id for event in events))
        for row in (await read(store.sagas_by_key, name, keys)).values() if keys else ():
            found.add(row.correlation_id, row.saga_key, known(row))
        for row in await read(store.sagas_by_correlation, name, correlation_ids):
            found.add(row.correlation_id, row.saga_key, known(row))
        return found


def begin(definition: Definition, saga_id: str, start: Start, message: Envelope, now: int) -> Append:
    """Return the beginning of a process with the first message that it is told, in one append."""
    started, state = advance(definition, None, start, now)
    told, after = advance(definition, state, Receive(message), now)
    assert after is not None
    return append_of(definition, saga_id, None, after, [*started, *told], react(definition, after), None, None)
