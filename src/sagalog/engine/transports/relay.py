"""The outbox: the messages that a transport carries are read from the log by position and sent in order.

The position moves only after the broker has acknowledged everything up to it, so nothing is left out. After a crash
between the two the batch is sent again, so receivers must recognise a repeated message. While the process lives, it
does not send an acknowledged message again, even if the position cannot be written. No broker is known here.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from msgspec.structs import replace

from sagalog.engine.backoff import Backoff, Pauses
from sagalog.engine.batch_size import BatchSize
from sagalog.engine.bus.consumers import Consumers
from sagalog.engine.bus.own_pace import TRIES_IN_ALL
from sagalog.engine.bus.route_writing import is_of_the_write
from sagalog.engine.bus.unmatched_messages import mended_message, with_message
from sagalog.engine.ending import raise_if_ending
from sagalog.engine.hint import Hint
from sagalog.engine.loops import Loop
from sagalog.engine.message_log import log_parked
from sagalog.engine.reentry import enter
from sagalog.engine.setbacks import Setbacks
from sagalog.engine.surroundings import Surroundings
from sagalog.engine.transports.handover import Outcomes, hand_over
from sagalog.engine.unmatched import cut_down, parked_row
from sagalog.errors import BatchTooLarge, SagalogError, StoreError, TransportUnavailable
from sagalog.messages import Envelope, Unreadable
from sagalog.saga.failure import described
from sagalog.store import Advance, ConsumerRow, Route, UnmatchedRow
from sagalog.transport import Transport

logger = logging.getLogger("sagalog.engine")

BATCH = 200
# Fewer for redelivery, where each message is read by itself.
AGAIN_AT_ONCE = 20
PAUSES = Pauses(0.1, 5.0)
PAUSES_OF_ONE = Pauses(0.1, 60.0)
# Messages that a person redelivers are not urgent: it took a person to notice them.
POLLS_BETWEEN_REDELIVERIES = 10

Found = Sequence[tuple[int, Envelope]]

# Called with the ids of commands that the broker has acknowledged.
HandedOver = Callable[[Sequence[str]], Awaitable[None]]


class Relay:
    """Sends over one transport, as long as this process owns the transport's consumer."""

    def __init__(
        self,
        transport: Transport,
        surroundings: Surroundings,
        consumers: Consumers,
        handed_over: HandedOver,
    ) -> None:
        self._transport = transport
        self._consumer = consumer_of(transport)
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._clock = surroundings.clock
        self._consumers = consumers
        self._handed_over = handed_over
        self._poll = surroundings.limits.poll / 1e6
        self._hint = Hint()
        self._loop: Loop | None = None
        self._trouble = False
        self._size = BatchSize(BATCH)
        # By the event loop's time, so that setting the system clock cannot delay it.
        self._redeliver_at = 0.0
        # The outcomes of messages above the written position, by position.
        self._outcomes: Outcomes = {}
        # The outcomes of redelivered messages that are not yet written, by unmatched id.
        self._sent_again: dict[str, str | None] = {}
        now = asyncio.get_running_loop().time
        self._setbacks = Setbacks(now, PAUSES_OF_ONE)
        # The position of the message that cannot be parked, and how often that was tried.
        self._tries = (0, 0)

    def start(self) -> None:
        """Start the loop that sends."""
        self._loop = Loop(self._run, f"sagalog-{self._consumer}", self._consumers.doubt)

    def hint(self) -> None:
        """Look for messages now instead of at the next poll."""
        self._hint.give()

    def take(self) -> None:
        """Take the consumer now, because the worker that may have had it is dead."""
        self._consumers.look_again()
        self._hint.give()

    def redeliver(self) -> None:
        """Look now for messages that a person redelivers."""
        self._redeliver_at = 0.0
        self._hint.give()

    async def close(self) -> None:
        """Stop sending and release the consumer; the next owner sends again what was not acknowledged."""
        if self._loop is not None:
            await self._loop.stop()
            self._consumers.give_back([self._consumer])

    async def _run(self) -> None:
        enter(self._blocking)
        backoff = Backoff(PAUSES)
        while True:
            self._hint.forget()
            try:
                more = await self._round()
            except (TransportUnavailable, StoreError) as problem:
                self._failed(problem)
            except (Exception, asyncio.CancelledError) as problem:
                raise_if_ending(problem)
                self._consumers.doubt()
                logger.exception("sending over %s failed and is tried again", self._transport.name)
            else:
                backoff.reset()
                if not more:
                    await self._hint.wait(self._poll)
                continue
            await asyncio.sleep(backoff.pause())

    def _failed(self, problem: SagalogError) -> None:
        if isinstance(problem, StoreError):
            # The position may have been written all the same, so it is read again.
            self._consumers.doubt()
        if not self._trouble:
            self._trouble = True
            logger.warning("what goes over %s waits in the log: %s", self._transport.name, problem)

    async def _round(self) -> bool:
        """Send one batch, and the redelivered messages that are due; return False if there was nothing to send."""
        await self._consumers.take()
        row = self._consumers.owned.get(self._consumer)
        if row is None:
            return False
        moved = await self._advance(row)
        now = asyncio.get_running_loop().time()
        if now >= self._redeliver_at:
            self._redeliver_at = now + POLLS_BETWEEN_REDELIVERIES * self._poll
            moved |= await self._again()
        return moved

    async def _advance(self, row: ConsumerRow) -> bool:
        """Send the messages above a consumer's position, and move it; return False if there are none."""
        limit = self._size.now
        try:
            read = await self._blocking.read(self._store.read_messages, row.position, limit)
        except BatchTooLarge:
            self._size.too_large(limit)
            raise
        self._size.passed()
        self._outcomes = {position: why for position, why in self._outcomes.items() if position > row.position}
        if not read:
            return False
        batch = [(position, envelope) for position, envelope in read if self._goes_out(position, envelope)]
        await self._send(batch, self._outcomes)
        refused = {position: envelope for position, envelope in batch if self._outcomes[position] is not None}
        try:
            await self._route(row, read[-1][0], [self._parked(*one, self._outcomes[one[0]]) for one in refused.items()])
        except StoreError as problem:
            if not refused or not await self._is_of_the_write(problem):
                raise
            # A parked row that the store refuses must not keep the position from moving behind the other messages.
            logger.warning("what was sent over %s is noted one by one: %s", self._transport.name, problem)
            await self._route_one_by_one(read, refused)
        await self._count([envelope for position, envelope in batch if position not in refused])
        return True

    def _goes_out(self, position: int, envelope: Envelope) -> bool:
        # A message that came over this transport is not sent back, because it would circulate for ever.
        if envelope.via == self._transport.name:
            return False
        try:
            carried = self._transport.carries(envelope)
        except Exception as problem:
            self._outcomes[position] = f"whether it carries it failed: {described(problem)}"
            return True
        if carried and isinstance(envelope, Unreadable):
            self._outcomes[position] = envelope.problem
        return carried

    async def _send(self, batch: Found, outcomes: Outcomes) -> None:
        await hand_over(self._transport, batch, outcomes)
        if batch and self._trouble:
            self._trouble = False
            logger.warning("what goes over %s is sent again", self._transport.name)

    def _parked(self, position: int | None, envelope: Envelope, why: str | None) -> UnmatchedRow:
        return parked_row(self._clock, self._consumer, envelope, position, f"{self._transport.name} refuses it: {why}")

    async def _route(
        self, row: ConsumerRow, position: int, parked: Sequence[UnmatchedRow] = (), redelivered: Sequence[str] = ()
    ) -> bool:
        """Move the position and write the rows; return False if the consumer was lost or its position has changed."""
        advance = Advance(row.consumer, self._consumers.worker_id, row.position, position)
        route = Route([advance], parked=parked, redelivered=redelivered)
        if await self._blocking.write(self._store.route, route) != "written":
            self._consumers.doubt()
            return False
        self._consumers.moved(row.consumer, position)
        for one in parked:
            log_parked(one)
        return True

    async def _route_one_by_one(self, read: Found, refused: dict[int, Envelope]) -> None:
        for position, _ in read:
            row = self._consumers.owned.get(self._consumer)
            envelope = refused.get(position)
            if row is None:
                return
            if envelope is None:
                written = await self._route(row, position)
            else:
                written = await self._park(row, position, self._parked(position, envelope, self._outcomes[position]))
            if not written:
                return

    async def _park(self, row: ConsumerRow, position: int, parked: UnmatchedRow) -> bool:
        """Park a message that the broker refused; if the store keeps refusing its row, park it by its digest."""
        try:
            return await self._route(row, position, [parked])
        except StoreError as problem:
            if not await self._is_of_the_write(problem):
                raise
            before = self._tries[1] if self._tries[0] == position else 0
            self._tries = (position, before + 1)
            if before + 1 < TRIES_IN_ALL:
                raise
            return await self._route(row, position, [cut_down(parked)])

    async def _is_of_the_write(self, problem: StoreError) -> bool:
        """Tell whether the content of the failed write caused the problem, rather than the store or the consumer."""
        row = self._consumers.owned.get(self._consumer)
        stays = None if row is None else Advance(row.consumer, self._consumers.worker_id, row.position, row.position)
        return await is_of_the_write(problem, self._store, self._blocking, stays)

    async def _count(self, sent: Sequence[Envelope]) -> None:
        if commands := [envelope.id for envelope in sent if envelope.kind == "command"]:
            await self._handed_over(commands)

    async def _again(self) -> bool:
        """Send again the refused messages that a person redelivers; return False if none is due."""
        waiting = await self._blocking.read(self._store.redelivering, [self._consumer], BATCH)
        ids = {row.unmatched_id for row in waiting}
        self._setbacks.keep(ids)
        self._sent_again = {one: why for one, why in self._sent_again.items() if one in ids}
        due = [row for row in waiting if not self._setbacks.waits(row.unmatched_id)][:AGAIN_AT_ONCE]
        whole = [await with_message(self._store, self._blocking, row) for row in due]
        rows = [row for row in whole if row is not None]
        found: list[tuple[int, Envelope]] = []
        for number, once_more in enumerate(rows):
            try:
                found.append((number, msgspec.json.decode(once_more.message, type=Envelope)))
            except (msgspec.MsgspecError, RecursionError) as problem:
                mended = await mended_message(self._store, self._blocking, once_more)
                if mended is not None:
                    found.append((number, mended))
                    continue
                why = f"it cannot be sent, since it is no message: {problem}; discard it"
                await self._settle(once_more, replace(once_more, status="parked", reason=why))
        known = {number: rows[number].unmatched_id for number, _ in found}
        outcomes = {number: self._sent_again[one] for number, one in known.items() if one in self._sent_again}
        try:
            await self._send(found, outcomes)
        finally:
            self._sent_again |= {known[number]: why for number, why in outcomes.items()}
            for number, envelope in found:
                if number in outcomes:
                    refused = outcomes[number]
                    parked = None if refused is None else self._parked(rows[number].position, envelope, refused)
                    await self._settle(rows[number], parked)
        return bool(rows)

    async def _settle(self, once_more: UnmatchedRow, parked: UnmatchedRow | None) -> None:
        """Write the outcome of a redelivered message.

        If the store refuses this write, only the write is repeated, after a pause, and other messages go on.
        """
        row = self._consumers.owned.get(self._consumer)
        if row is None:
            return
        try:
            await self._route(row, row.position, [parked] if parked else (), (once_more.unmatched_id,))
            # If a person redelivers it another time, it is sent another time.
            self._sent_again.pop(once_more.unmatched_id, None)
        except StoreError as problem:
            if not await self._is_of_the_write(problem):
                raise
            self._setbacks.add(once_more.unmatched_id, counts=True)
            logger.error("what became of a message sent over %s once more: %s", self._transport.name, problem)


def consumer_of(transport: Transport) -> str:
    """Return the consumer under which a transport reads the log."""
    return f"transport:{transport.name}"
