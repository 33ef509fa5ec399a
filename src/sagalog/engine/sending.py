"""The outbox: what a transport carries is read from the log by position and sent, in order. It knows no broker.

The position moves only after the broker has acknowledged everything up to it. A crash between the two sends a batch
again, so whoever receives must know a message that it had; nothing is ever left out.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from sagalog.clock import Clock, new_id
from sagalog.engine.blocking import Blocking
from sagalog.engine.receiving import Handle
from sagalog.errors import SagalogError, StoreError, TransportUnavailable
from sagalog.messages import Envelope
from sagalog.store import Advance, ConsumerRow, Posting, Route, Store, UnmatchedRow
from sagalog.transport import Transport

logger = logging.getLogger("sagalog.engine")

BATCH = 200
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0


class Sending:
    """Send for one transport, as long as this process's worker owns its consumer."""

    def __init__(
        self,
        transport: Transport,
        store: Store,
        blocking: Blocking,
        clock: Clock,
        worker_id: Callable[[], str],
        handle: Handle,
        poll: float,
        from_now: bool = False,
    ) -> None:
        self._transport = transport
        self._consumer = f"transport:{transport.name}"
        self._store = store
        self._blocking = blocking
        self._clock = clock
        self._worker_id = worker_id
        self._handle = handle
        self._poll = poll
        self._from_now = from_now
        self._hint = asyncio.Event()
        self._row: ConsumerRow | None = None
        self._task: asyncio.Task[None] | None = None
        self._trouble = False

    def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"sagalog-{self._consumer}")

    def hint(self) -> None:
        """Look for messages now instead of at the next poll."""
        self._hint.set()

    async def close(self) -> None:
        """Stop; what was not acknowledged is sent again by whoever goes on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            self._hint.clear()
            try:
                more = await self._round()
            except (TransportUnavailable, StoreError) as problem:
                self._failed(problem)
            except Exception:
                self._row = None
                logger.exception("sending over %s failed and is tried again", self._transport.name)
            else:
                pause = FIRST_PAUSE
                if not more:
                    await self._rest(self._poll)
                continue
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._hint.wait()
        except TimeoutError:
            return

    def _failed(self, problem: SagalogError) -> None:
        if isinstance(problem, StoreError):
            # A position may have been written without our knowing; the row says.
            self._row = None
        if not self._trouble:
            self._trouble = True
            logger.warning("what goes over %s waits in the log: %s", self._transport.name, problem)

    async def _round(self) -> bool:
        """Send one batch; False if there is nothing to do for now."""
        row = self._row or await self._taken()
        if row is None:
            return False
        read = await self._blocking.read(self._store.read_messages, row.position, BATCH)
        if not read:
            return await self._again(row)
        batch = [(position, envelope) for position, envelope in read if self._goes_out(envelope)]
        refusals = await self._send([envelope for _, envelope in batch])
        parked = [
            self._refused(position, envelope, why)
            for (position, envelope), why in zip(batch, refusals, strict=True)
            if why is not None
        ]
        if await self._route(row, read[-1][0], parked=parked):
            await self._count([envelope for _, envelope in batch])
        return True

    async def _taken(self) -> ConsumerRow | None:
        rows = await self._blocking.write(
            self._store.take_consumers, self._worker_id(), [self._consumer], self._clock.now(), self._from_now
        )
        self._row = next(iter(rows), None)
        return self._row

    def _goes_out(self, envelope: Envelope) -> bool:
        # What came over this transport has been seen by whoever listens to it: sending it back would go round for ever.
        return envelope.kind != "note" and envelope.via != self._transport.name and self._transport.carries(envelope)

    async def _send(self, envelopes: Sequence[Envelope]) -> list[str | None]:
        if not envelopes:
            return []
        refusals = await self._transport.send(envelopes)
        if self._trouble:
            self._trouble = False
            logger.warning("what goes over %s is sent again", self._transport.name)
        return refusals

    async def _route(
        self,
        row: ConsumerRow,
        position: int,
        parked: Sequence[UnmatchedRow] = (),
        redelivered: Sequence[str] = (),
    ) -> bool:
        """Move the position; False if somebody else has moved it."""
        advance = Advance(row.consumer, self._worker_id(), row.position, position)
        route = Route([advance], parked=parked, redelivered=redelivered)
        if await self._blocking.write(self._store.route, route) != "written":
            self._row = None
            return False
        self._row = msgspec.structs.replace(row, position=position)
        return True

    async def _count(self, sent: Sequence[Envelope]) -> None:
        commands = [envelope.id for envelope in sent if envelope.kind == "command"]
        if commands:
            await self._blocking.write(self._store.post, [Posting(delivered=commands)])

    async def _again(self, row: ConsumerRow) -> bool:
        """Send, or take, what a person let go once more; False if there is nothing."""
        rows = await self._blocking.read(self._store.redelivering, [self._consumer], BATCH)
        settled: list[str] = []
        for parked in rows:
            if await self._once_more(parked):
                settled.append(parked.unmatched_id)
        return bool(settled) and await self._route(row, row.position, redelivered=settled)

    async def _once_more(self, parked: UnmatchedRow) -> bool:
        try:
            envelope = msgspec.json.decode(parked.message, type=Envelope)
        except msgspec.MsgspecError:
            logger.error("message %s cannot be read, now as before: discard it", parked.message_id)
            return False
        if parked.position is None:
            # It never reached the log: it is one that came in.
            await self._handle(envelope)
            return True
        [why] = await self._send([envelope])
        if why is not None:
            logger.error("message %s is refused as before: %s", parked.message_id, why)
        return why is None

    def _refused(self, position: int, envelope: Envelope, why: str) -> UnmatchedRow:
        return UnmatchedRow(
            unmatched_id=new_id(self._clock),
            consumer=self._consumer,
            message_id=envelope.id,
            kind=envelope.kind,
            name=envelope.name,
            source=envelope.source,
            reason=f"{self._transport.name} refuses it: {why}",
            correlation_id=envelope.correlation_id,
            causation_id=envelope.causation_id,
            position=position,
            message=msgspec.json.encode(envelope).decode(),
            parked_at=self._clock.now(),
        )
