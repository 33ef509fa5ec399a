"""What a process manager does with messages: publish, handle, and settle unmatched ones. It routes none."""

from typing import cast

from sagalog.clock import Clock, new_id
from sagalog.engine.asking import as_asked, asked
from sagalog.engine.bus.intake import check_envelope
from sagalog.engine.unmatched import INTAKE, parked_row, raw_row, unknown
from sagalog.errors import InvalidAction, InvalidInput, InvalidQuery
from sagalog.messages import Envelope, Event, name_of
from sagalog.process_manager.assembly import Engine
from sagalog.process_manager.lifecycle import Lifecycle
from sagalog.process_manager.posting import park, publish
from sagalog.saga.identifiers import check_identifier, check_lookup, check_reason
from sagalog.saga.messages.vocabulary import Vocabulary
from sagalog.saga.options import shown
from sagalog.saga.payload.payload_type import PayloadType
from sagalog.store import UnmatchedQuery, UnmatchedRow


class Messaging:
    """Publish and handle messages; this part of `ProcessManager`.

    `source` is who publishes, and `vocabulary` says which messages are known here.
    """

    def __init__(self, lifecycle: Lifecycle, clock: Clock, source: str, vocabulary: Vocabulary) -> None:
        self._lifecycle = lifecycle
        self._clock = clock
        self._source = source
        self._vocabulary = vocabulary

    async def publish(
        self,
        event: Event,
        *,
        id: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
    ) -> str:
        """Publish an event and return its message id once it is durable.

        With an `id` of your own, publishing the same again publishes nothing new; without one, each call is a new
        message. Raises `InvalidIdentifier`, `InvalidInput` and `PayloadTooLarge` for what cannot be stored, and
        `StoreUnavailable` when nobody knows whether it was written (publish it again with the same `id`).
        """
        engine = self._lifecycle.engine()
        kind = type(event)
        if kind is Event or Event not in kind.__mro__:
            found = f"the class {event.__name__}" if isinstance(event, type) else kind.__name__
            raise InvalidInput(f"expected an event, found {found}; give an instance of a subclass of Event")
        name = name_of(kind)
        payload = self._vocabulary.payload(name)
        try:
            if payload is None or payload.kind is not kind:
                payload = PayloadType(kind)
            data = payload.write(event, f"event {name}")
        except TypeError as problem:
            raise InvalidInput(str(problem)) from None
        message_id = new_id(self._clock) if id is None else id
        envelope = Envelope(
            id=message_id,
            kind="event",
            name=name,
            source=self._source,
            correlation_id=message_id if correlation_id is None else correlation_id,
            causation_id=causation_id,
            time=self._clock.now(),
            data=data,
        )
        envelope = check_envelope(envelope, self._vocabulary)
        await publish(engine.committer, envelope)
        return envelope.id

    async def handle(self, envelope: Envelope) -> bool:
        """Take in a message from elsewhere; returns once it is durable, False if it was there already.

        Its id makes handling it again harmless; without a valid one it is refused with `InvalidIdentifier`.
        Raises `InvalidInput` and `PayloadTooLarge` for data that is not what the name says. A message whose name
        nobody here knows is parked in `saga_unmatched`.
        """
        if not isinstance(cast(object, envelope), Envelope):
            raise InvalidInput(
                f"expected an Envelope of sagalog.messages, found {shown(envelope)}; publish() takes events"
            )
        engine = self._lifecycle.engine()
        envelope = check_envelope(envelope, self._vocabulary)
        if len(self._vocabulary) and envelope.name not in self._vocabulary and not engine.transports.carry(envelope):
            await park(engine.committer, parked_row(self._clock, INTAKE, envelope, None, unknown(envelope)))
            return True
        if await asked(engine.blocking, engine.store.find_message, envelope.id) is not None:
            return False
        await publish(engine.committer, envelope)
        return True

    async def park(self, raw: bytes | str, *, source: str, reason: str) -> str:
        """Park what came from `source` and could not be read as a message; returns its unmatched id.

        Of the text 64 KiB are kept. The same text again is the same row.
        """
        if not isinstance(cast(object, raw), bytes | str):
            raise InvalidInput(f"expected the text or the bytes that came, found {shown(raw)}")
        if not isinstance(cast(object, reason), str):
            raise InvalidInput(f"expected a text for reason=, why it could not be read, found {shown(reason)}")
        reason = check_reason(reason, "the reason")
        engine = self._lifecycle.engine()
        row = raw_row(self._clock, source, raw, reason)
        await park(engine.committer, row)
        return row.unmatched_id

    async def unmatched(self, query: UnmatchedQuery | None = None) -> list[UnmatchedRow]:
        """Return messages that could not be taken, newest first; raises `InvalidQuery` for what is no query."""
        if query is not None and not isinstance(cast(object, query), UnmatchedQuery):
            raise InvalidQuery(f"expected an UnmatchedQuery, such as UnmatchedQuery(name='...'), found {shown(query)}")
        engine = self._lifecycle.engine()
        return await asked(engine.blocking, engine.store.unmatched, query or UnmatchedQuery())

    async def redeliver(self, unmatched_id: str, *, actor: str, reason: str) -> None:
        """Let a message that was parked be delivered again. Recorded with the actor.

        Raises `InvalidAction` if it is not parked, or no longer.
        """
        engine = await self._settle(unmatched_id, "redelivering", actor, reason)
        engine.bus.redeliver()
        engine.transports.redeliver()

    async def discard(self, unmatched_id: str, *, actor: str, reason: str) -> None:
        """Give up a message that is parked or retried; messages behind it go on. Recorded with the actor.

        Raises `InvalidAction` if it is neither, or no longer.
        """
        engine = await self._settle(unmatched_id, "discarded", actor, reason)
        engine.bus.redeliver()

    async def _settle(self, unmatched_id: str, status: str, actor: str, reason: str) -> Engine:
        """Write what a person decided about a parked message; return the engine, for hints."""
        check_lookup(unmatched_id, "the unmatched id")
        engine = self._lifecycle.engine()
        actor, reason = check_identifier(actor, "the actor"), check_reason(reason, "the reason")
        now = self._clock.now()
        with as_asked():
            settled = await engine.blocking.write(
                engine.store.settle_unmatched, unmatched_id, status, actor, reason, now
            )
        if not settled:
            raise InvalidAction(
                f"expected a parked message, found none with the unmatched id {unmatched_id!r} (any more); "
                "`sagalog unmatched list` shows those there are"
            )
        return engine
