"""The outbox: what a transport carries is read from the log by position and sent, in order. It knows no broker.

The position moves only after the broker has acknowledged everything up to it. A crash between the two sends a batch
again, so whoever receives must know a message that it had; nothing is ever left out.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from sagalog.clock import Clock
from sagalog.engine.blocking import Blocking
from sagalog.engine.consumers import Consumers
from sagalog.engine.door import parked_row
from sagalog.engine.message_log import log_parked
from sagalog.errors import SagalogError, StoreError, TransportUnavailable
from sagalog.messages import Envelope
from sagalog.store import Advance, ConsumerRow, Route, Store, UnmatchedRow
from sagalog.transport import Transport

logger = logging.getLogger("sagalog.engine")

BATCH = 200
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
# A message that is to be sent once more waits for a person's hand, so it may wait some polls more.
POLLS_BETWEEN_REDELIVERIES = 10

# Told the ids of commands that were handed to a broker.
Delivered = Callable[[Sequence[str]], Awaitable[None]]


class Sending:
    """Send for one transport, as long as this process's worker owns its consumer."""

    def __init__(
        self,
        transport: Transport,
        store: Store,
        blocking: Blocking,
        clock: Clock,
        consumers: Consumers,
        delivered: Delivered,
        poll: int,
    ) -> None:
        self._transport = transport
        self._consumer = consumer_of(transport)
        self._store = store
        self._blocking = blocking
        self._clock = clock
        self._consumers = consumers
        self._delivered = delivered
        self._poll = poll
        self._hint = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._trouble = False
        self._redeliver_at = 0

    def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"sagalog-{self._consumer}")

    def hint(self) -> None:
        """Look for messages now instead of at the next poll."""
        self._hint.set()

    def redeliver(self) -> None:
        """Look now for messages that are to be sent once more."""
        self._redeliver_at = 0
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
                self._consumers.doubt()
                logger.exception("sending over %s failed and is tried again", self._transport.name)
            else:
                pause = FIRST_PAUSE
                if not more:
                    await self._rest()
                continue
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._poll / 1e6):
                await self._hint.wait()
        except TimeoutError:
            # Nobody called: the poll is the backstop.
            return

    def _failed(self, problem: SagalogError) -> None:
        if isinstance(problem, StoreError):
            # A position may have been written without our knowing; the store says where the consumer is.
            self._consumers.doubt()
        if not self._trouble:
            self._trouble = True
            logger.warning("what goes over %s waits in the log: %s", self._transport.name, problem)

    async def _round(self) -> bool:
        """Send one batch; False if there is nothing to do for now."""
        await self._consumers.take()
        row = self._consumers.owned.get(self._consumer)
        if row is None:
            return False
        read = await self._blocking.read(self._store.read_messages, row.position, BATCH)
        if not read:
            return await self._again(row)
        batch = [(position, envelope) for position, envelope in read if self._goes_out(envelope)]
        refusals = await self._send([envelope for _, envelope in batch])
        parked = [
            parked_row(self._clock, self._consumer, envelope, position, f"{self._transport.name} refuses it: {why}")
            for (position, envelope), why in zip(batch, refusals, strict=True)
            if why is not None
        ]
        await self._route(row, read[-1][0], parked)
        await self._count([envelope for _, envelope in batch])
        return True

    def _goes_out(self, envelope: Envelope) -> bool:
        # What came over this transport has been seen by whoever listens to it: sending it back would go round for ever.
        return envelope.via != self._transport.name and self._transport.carries(envelope)

    async def _send(self, envelopes: Sequence[Envelope]) -> list[str | None]:
        if not envelopes:
            return []
        refusals = await self._transport.send(envelopes)
        if self._trouble:
            self._trouble = False
            logger.warning("what goes over %s is sent again", self._transport.name)
        return refusals

    async def _route(
        self, row: ConsumerRow, position: int, parked: Sequence[UnmatchedRow] = (), redelivered: Sequence[str] = ()
    ) -> None:
        """Move the position, unless somebody else has moved it."""
        advance = Advance(row.consumer, self._consumers.worker_id, row.position, position)
        route = Route([advance], parked=parked, redelivered=redelivered)
        if await self._blocking.write(self._store.route, route) != "written":
            self._consumers.doubt()
            return
        self._consumers.moved(row.consumer, position)
        for one in parked:
            log_parked(one)

    async def _count(self, sent: Sequence[Envelope]) -> None:
        if commands := [envelope.id for envelope in sent if envelope.kind == "command"]:
            await self._delivered(commands)

    async def _again(self, row: ConsumerRow) -> bool:
        """Send what the broker refused and a person lets go once more; False if there is nothing."""
        now = self._clock.now()
        if now < self._redeliver_at:
            return False
        self._redeliver_at = now + POLLS_BETWEEN_REDELIVERIES * self._poll
        rows = await self._blocking.read(self._store.redelivering, [self._consumer], BATCH)
        for once_more in rows:
            envelope = msgspec.json.decode(once_more.message, type=Envelope)
            [why] = await self._send([envelope])
            if why is None:
                await self._route(row, row.position, redelivered=[once_more.unmatched_id])
            else:
                reason = f"{self._transport.name} refuses it: {why}"
                parked = parked_row(self._clock, self._consumer, envelope, once_more.position, reason)
                await self._route(row, row.position, [parked])
        return bool(rows)


def consumer_of(transport: Transport) -> str:
    """Return the consumer under which a transport reads the log."""
    return f"transport:{transport.name}"
