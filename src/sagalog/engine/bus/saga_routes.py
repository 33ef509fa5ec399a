"""What the sagas of one name make of messages: the rules are in `saga.routing`, what they ask for is looked up here."""

from collections.abc import Mapping, Sequence

from sagalog.clock import Clock, new_id
from sagalog.engine.blocking import Blocking
from sagalog.engine.bus.intake import parked_row
from sagalog.engine.bus.participant_routes import inbox_row
from sagalog.engine.bus.route_batch import Batch, Found
from sagalog.engine.cycle import append_of
from sagalog.saga.decide import advance
from sagalog.saga.definition import Definition
from sagalog.saga.inputs import Start
from sagalog.saga.messages.route import Begin, Deliver, Facts, KnownSaga, Park, Question, SagaRouting
from sagalog.saga.react import react
from sagalog.store import Append, StatusRow, Store


class SagaRoutes:
    """Route messages to the sagas of one name; `definitions` are its loaded versions."""

    def __init__(self, definitions: Sequence[Definition], store: Store, blocking: Blocking, clock: Clock) -> None:
        self._routing = SagaRouting(definitions)
        self.consumer = f"saga:{self._routing.name}"
        self._store = store
        self._blocking = blocking
        self._clock = clock

    async def route(self, found: Found, batch: Batch) -> None:
        """Add starts, rows for the inboxes of sagas, and what nobody can take."""
        questions = self._routing.ask(envelope for _, envelope in found)
        if not questions:
            return
        positions = {envelope.id: position for position, envelope in found}
        begun: dict[str, KnownSaga] = {}
        facts = await self._facts(questions, begun)
        now = self._clock.now()
        for question in questions:
            message = question.message
            position = positions[message.id]
            match self._routing.answer(question, facts):
                case Begin(definition, start):
                    saga_id = new_id(self._clock)
                    batch.starts.append(begin(definition, saga_id, start, now))
                    begun[start.key] = KnownSaga(saga_id, definition.name, "started", start.run, message.id)
                case Deliver(saga_id):
                    batch.inbox.append(inbox_row(saga_id, saga_id, position, message, now))
                case Park(reason):
                    batch.parked.append(parked_row(self._clock, self.consumer, message, position, reason))
                case None:
                    continue

    async def _facts(self, questions: Sequence[Question], begun: dict[str, KnownSaga]) -> Facts:
        """Look up what the answers depend on; `begun` is filled, and will have what the batch itself starts."""
        wanted = self._routing.wanted(questions)
        read, store = self._blocking.read, self._store
        commands: Mapping[str, str] = {}
        if wanted.commands:
            rows = await read(store.commands, wanted.commands)
            commands = {command_id: row.saga_id for command_id, row in rows.items()}
        issuers = await read(store.statuses, list(set(commands.values()))) if commands else {}
        if wanted.keys:
            for key, row in (await read(store.sagas_by_key, self._routing.name, wanted.keys)).items():
                begun[key] = known(row)
        correlated: dict[str, list[KnownSaga]] = {}
        if wanted.correlation_ids:
            for row in await read(store.sagas_by_correlation, self._routing.name, wanted.correlation_ids):
                correlated.setdefault(row.correlation_id, []).append(known(row))
        origins = [one for one in wanted.origins if one not in commands]
        return Facts(
            {command_id: known(issuers[saga_id]) for command_id, saga_id in commands.items() if saga_id in issuers},
            frozenset([one for one in origins if await read(store.find_message, one) is not None]),
            begun,
            correlated,
        )


def known(row: StatusRow) -> KnownSaga:
    """Return what routing has to know of a saga that is there."""
    return KnownSaga(row.saga_id, row.saga_name, row.status, row.run, row.causation_id)


def begin(definition: Definition, saga_id: str, start: Start, now: int) -> Append:
    """Return the start of a saga that any worker may take up."""
    events, state = advance(definition, None, start, now)
    assert state is not None
    return append_of(definition, saga_id, None, state, events, react(definition, state), None, None)
