"""Routing for the choreographies of one name: it looks up what the pure rules need, and applies their answers."""

from collections.abc import Sequence

from sagalog.engine.bus.route_answers import RouteAnswers, known
from sagalog.engine.bus.route_batch import Batch, Found
from sagalog.engine.surroundings import Surroundings
from sagalog.saga.choreography.definition import ChoreographyDefinition
from sagalog.saga.choreography.route import ChoreographyRouting, KeyedEvent, KnownProcesses


class ChoreographyRoutes:
    """The consumer of one choreography; `definitions` are its loaded versions."""

    def __init__(self, definitions: Sequence[ChoreographyDefinition], surroundings: Surroundings) -> None:
        self._routing = ChoreographyRouting(definitions)
        self.consumer = f"choreography:{self._routing.name}"
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._clock = surroundings.clock
        self._answers = RouteAnswers(self.consumer, surroundings.clock)

    async def route(self, found: Found, batch: Batch) -> None:
        """Add new processes, inbox rows for existing ones, and the events to park because they have no key."""
        events = self._routing.ask(envelope for _, envelope in found)
        if not events:
            return
        positions = {envelope.id: position for position, envelope in found}
        processes = await self._processes(events)
        now = self._clock.now()
        for event in events:
            message, answer = event.message, self._routing.answer(event, processes)
            begins = self._answers.add(batch, positions[message.id], message, answer, now)
            if begins is not None:
                processes.add(message.correlation_id, event.key, begins)

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
