"""Routing for the sagas of one name: it looks up what the pure rules need, and applies their answers."""

from collections.abc import Mapping, Sequence

from sagalog.engine.bus.route_answers import RouteAnswers, known
from sagalog.engine.bus.route_batch import Batch, Found
from sagalog.engine.surroundings import Surroundings
from sagalog.saga.definition import Definition
from sagalog.saga.messages.route import Facts, KnownSaga, Question, SagaRouting


class SagaRoutes:
    """The consumer of the sagas of one name; `definitions` are its loaded versions."""

    def __init__(self, definitions: Sequence[Definition], surroundings: Surroundings) -> None:
        self._routing = SagaRouting(definitions)
        self.consumer = f"saga:{self._routing.name}"
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._clock = surroundings.clock
        self._answers = RouteAnswers(self.consumer, surroundings.clock)

    async def route(self, found: Found, batch: Batch) -> None:
        """Add new sagas, inbox rows for existing ones, and the messages to park because nobody can take them."""
        questions = self._routing.ask(envelope for _, envelope in found)
        if not questions:
            return
        positions = {envelope.id: position for position, envelope in found}
        begun: dict[str, KnownSaga] = {}
        facts = await self._facts(questions, begun)
        now = self._clock.now()
        for question in questions:
            message, answer = question.message, self._routing.answer(question, facts)
            begins = self._answers.add(batch, positions[message.id], message, answer, now)
            if begins is not None:
                assert question.key is not None
                begun[question.key] = begins

    async def _facts(self, questions: Sequence[Question], begun: dict[str, KnownSaga]) -> Facts:
        """Look up what the answers depend on; existing sagas are added to `begun`, and later those the batch starts."""
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
