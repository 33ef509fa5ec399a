"""What a process manager does with messages: publish, handle, and look after what nobody could take. It routes none."""

from typing import cast

import msgspec

from sagalog.clock import Clock, new_id
from sagalog.engine.asking import as_asked, asked
from sagalog.engine.blocking import Blocking
from sagalog.engine.bus.bus import Bus
from sagalog.engine.bus.intake import check_envelope
from sagalog.engine.message_log import log_parked, log_published
from sagalog.engine.transports.transports import Transports
from sagalog.engine.unmatched import INTAKE, parked_row, raw_row, unknown
from sagalog.engine.writing.committer import Committer
from sagalog.errors import InvalidAction, InvalidInput, InvalidQuery
from sagalog.messages import Envelope, Event, name_of
from sagalog.saga.identifiers import check_identifier, check_lookup, check_reason
from sagalog.saga.messages.vocabulary import Vocabulary
from sagalog.saga.options import shown
from sagalog.saga.payload.payload_type import PayloadType
from sagalog.store import Posting, Store, UnmatchedQuery, UnmatchedRow


class Messaging:
    """Publish and handle messages; the bus's half of `ProcessManager`."""

    store: Store
    _source: str
    _committer: Committer
    _clock: Clock
    _vocabulary: Vocabulary
    _bus: Bus
    _transports: Transports

    @property
    def _blocking(self) -> Blocking:
        raise NotImplementedError

    def _check_running(self) -> None:
        raise NotImplementedError

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
        self._check_running()
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
        await self._publish(envelope)
        return envelope.id

    async def handle(self, envelope: Envelope) -> bool:
        """Take in a message from elsewhere; returns once it is durable, False if it was there already.

        Its id is what makes handling it again harmless: without a usable one it is refused with `InvalidIdentifier`.
        Raises `InvalidInput` and `PayloadTooLarge` for data that is not what the name says. A message whose name
        nobody here knows is parked in `saga_unmatched`.
        """
        if not isinstance(cast(object, envelope), Envelope):
            raise InvalidInput(
                f"expected an Envelope of sagalog.messages, found {shown(envelope)}; publish() takes events"
            )
        self._check_running()
        envelope = check_envelope(envelope, self._vocabulary)
        if len(self._vocabulary) and envelope.name not in self._vocabulary and not self._transports.carry(envelope):
            await self._park(parked_row(self._clock, INTAKE, envelope, None, unknown(envelope)))
            return True
        if await asked(self._blocking, self.store.find_message, envelope.id) is not None:
            return False
        await self._publish(envelope)
        return True

    async def _publish(self, envelope: Envelope) -> None:
        def settled(written: bool | None) -> None:
            if written:
                log_published(envelope)

        await self._committer.post(Posting(messages=(envelope,)), patient=False, then=settled)

    async def park(self, raw: bytes | str, *, source: str, reason: str) -> str:
        """Park what came from `source` and could not be read as a message; returns its unmatched id.

        Of the text 64 KiB are kept. The same text again is the same row.
        """
        if not isinstance(cast(object, raw), bytes | str):
            raise InvalidInput(f"expected the text or the bytes that came, found {shown(raw)}")
        if not isinstance(cast(object, reason), str):
            raise InvalidInput(f"expected a text for reason=, why it could not be read, found {shown(reason)}")
        reason = check_reason(reason, "the reason")
        self._check_running()
        row = raw_row(self._clock, source, raw, reason)
        await self._park(row)
        return row.unmatched_id

    async def _park(self, row: UnmatchedRow) -> None:
        def settled(written: bool | None) -> None:
            if written:
                log_parked(row)

        await self._committer.post(Posting(parked=row), patient=False, then=settled)

    async def unmatched(self, query: UnmatchedQuery | None = None) -> list[UnmatchedRow]:
        """Return messages that nobody could take, newest first; raises `InvalidQuery` for what is no query."""
        if query is not None and not isinstance(cast(object, query), UnmatchedQuery):
            raise InvalidQuery(f"expected an UnmatchedQuery, such as UnmatchedQuery(name='...'), found {shown(query)}")
        return await asked(self._blocking, self.store.unmatched, query or UnmatchedQuery())

    async def redeliver(self, unmatched_id: str, *, actor: str, reason: str) -> None:
        """Let a message that was parked be delivered again. Recorded with the actor.

        Raises `InvalidAction` if it is not parked (any more).
        """
        await self._settle(unmatched_id, "redelivering", actor, reason)
        self._bus.redeliver()
        self._transports.redeliver()

    async def discard(self, unmatched_id: str, *, actor: str, reason: str) -> None:
        """Give up a message that was parked, or is tried again; what waits behind it goes on. Recorded with the actor.

        Raises `InvalidAction` if it is neither (any more).
        """
        await self._settle(unmatched_id, "discarded", actor, reason)
        self._bus.redeliver()

    async def _settle(self, unmatched_id: str, status: str, actor: str, reason: str) -> None:
        check_lookup(unmatched_id, "the unmatched id")
        self._check_running()
        actor, reason = check_identifier(actor, "the actor"), check_reason(reason, "the reason")
        now = self._clock.now()
        with as_asked():
            settled = await self._blocking.write(self.store.settle_unmatched, unmatched_id, status, actor, reason, now)
        if not settled:
            raise InvalidAction(
                f"expected a parked message, found none with the unmatched id {unmatched_id!r} (any more); "
                "`sagalog unmatched list` shows those there are"
            )


def read_envelope(text: bytes | str) -> Envelope:
    """Return the envelope that JSON text holds; raises `InvalidInput`."""
    try:
        return msgspec.json.decode(text, type=Envelope)
    except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
        raise InvalidInput(f"expected the JSON of a message, found something else: {problem}") from None
