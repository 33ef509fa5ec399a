"""What a process manager does with messages: publish, take in, and settle those that nobody could take.

It routes none.
"""

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
    """The part of `ProcessManager` that publishes, takes in and settles messages.

    `source` is the source of published events; `vocabulary` holds the messages that are known here.
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

        If you give an `id`, publishing again with the same `id` has no effect; without one, each call publishes a new
        message. `correlation_id` defaults to the message id.

        Raises `InvalidIdentifier`, `InvalidInput` or `PayloadTooLarge` for what cannot be stored. Raises
        `StoreUnavailable` if it is unknown whether it was written; publishing again with the same `id` is safe.
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
        """Take in a message from elsewhere; return True once it is durable, False if the log has its id already.

        A message whose name is unknown here is parked in `saga_unmatched`, unless a transport carries it. Raises
        `InvalidIdentifier` for an unusable id, name or source, because a repeated message is recognised by its id.
        Raises `InvalidInput` or `PayloadTooLarge` for data that does not match the type declared for the name.
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
        """Park text or bytes from `source` that could not be read as a message; return the new row's unmatched id.

        At most 64 KiB are kept. If the same text was parked before, that row is kept, with its own id. `reason` is 1 to
        4,000 characters. Raises `InvalidInput` or `InvalidIdentifier` for invalid arguments.
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
        """Return the rows of `saga_unmatched` that match, newest first; by default the 50 newest parked ones.

        Raises `InvalidQuery` if `query` is not an `UnmatchedQuery`.
        """
        if query is not None and not isinstance(cast(object, query), UnmatchedQuery):
            raise InvalidQuery(f"expected an UnmatchedQuery, such as UnmatchedQuery(name='...'), found {shown(query)}")
        engine = self._lifecycle.engine()
        return await asked(engine.blocking, engine.store.unmatched, query or UnmatchedQuery())

    async def redeliver(self, unmatched_id: str, *, actor: str, reason: str) -> None:
        """Deliver a parked message again; `actor` and `reason` are recorded.

        Returns before the delivery. Raises `InvalidAction` if no message with this id is parked, and
        `InvalidIdentifier` for an invalid argument.
        """
        engine = await self._settle(unmatched_id, "redelivering", actor, reason)
        engine.bus.redeliver()
        engine.transports.redeliver()

    async def discard(self, unmatched_id: str, *, actor: str, reason: str) -> None:
        """Give up a message that is parked or being delivered again; the messages behind it go on.

        `actor` and `reason` are recorded. Raises `InvalidAction` if no such message has this id, and
        `InvalidIdentifier` for an invalid argument.
        """
        engine = await self._settle(unmatched_id, "discarded", actor, reason)
        engine.bus.redeliver()

    async def _settle(self, unmatched_id: str, status: str, actor: str, reason: str) -> Engine:
        """Write a person's decision about a parked message; return the engine, whose parts the caller then informs."""
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
