"""Claiming sagas without an owner: they are claimed in batches, read, and handed to the worker. It drives none.

No error of one round or one saga ends the loop, since the other sagas still need it.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from sagalog.engine.backoff import Backoff, Pauses, is_worth_saying, rest_after
from sagalog.engine.batch_size import BatchSize
from sagalog.engine.hint import Hint
from sagalog.engine.recovery import Recovery
from sagalog.engine.sagas.clock_watch import ClockWatch
from sagalog.engine.sagas.driven import Driven
from sagalog.engine.sagas.given_up import GivenUp
from sagalog.engine.sagas.giving_back import GivingBack
from sagalog.engine.sagas.inbox import Inbox
from sagalog.engine.sagas.lease import WorkerLease
from sagalog.engine.sagas.lease_watch import LeaseWatch
from sagalog.engine.sagas.one_by_one import OneByOne
from sagalog.engine.sagas.taking_over import TakingOver
from sagalog.engine.sagas.threadless import Threadless
from sagalog.engine.setbacks import Setbacks
from sagalog.engine.surroundings import Surroundings
from sagalog.errors import BatchTooLarge, StoreError
from sagalog.messages import Envelope
from sagalog.saga.failure import described
from sagalog.store import InboxRow, StatusRow, StoredEvent

logger = logging.getLogger("sagalog.engine")

LONGEST_PAUSE = 5.0
# The key of the setback for reading all inboxes. While it lasts, sagas without messages are still claimed.
INBOXES = "inboxes"

Handed = list[tuple[InboxRow, Envelope]]
# Drives a saga that has just been claimed, given its row and its events.
Own = Callable[[StatusRow, Sequence[StoredEvent]], None]


class Claiming:
    """Claims sagas for the worker that has the lease, while it has room, of the definitions that `threadless` allows.

    `own` drives a saga that was claimed and read.

    `hint` is given when something may be due.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        lease: WorkerLease,
        driven: Driven,
        inbox: Inbox,
        threadless: Threadless,
        giving_back: GivingBack,
        given_up: GivenUp,
        recovery: Recovery,
        hint: Hint,
        own: Own,
    ) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._clock = surroundings.clock
        self._poll = surroundings.limits.poll / 1e6
        self._threadless = threadless
        self._definitions: Sequence[str] = ()
        self._lease = lease
        self._driven = driven
        self._inbox = inbox
        self._own = own
        self._giving_back = giving_back
        self._given_up = given_up
        self._turn = driven.turn
        self._size = BatchSize(surroundings.limits.claim_batch)
        now = asyncio.get_running_loop().time
        self._one_by_one = OneByOne("cannot be claimed", self._writes, now)
        self._unread = OneByOne("has a history that cannot be read", self._reads, now)
        freed = OneByOne("cannot be taken over from a dead worker", self._writes, now)
        self._taking_over = TakingOver(surroundings, freed, lease, recovery.freed)
        self._lease_watch = LeaseWatch(surroundings, lambda: lease.worker_id)
        self._setbacks = Setbacks(now, Pauses(self._poll, LONGEST_PAUSE))
        self._recovery = recovery
        for listener in (
            self._one_by_one.hurry,
            self._unread.hurry,
            freed.hurry,
            given_up.hurry,
            self._look_again,
        ):
            recovery.add(listener)
        self._hint = hint
        self._in_doubt = False

    def _look_again(self) -> None:
        """Try now what could not be read or claimed while the store was in trouble."""
        self._setbacks.hurry()
        self._inbox.hurry()

    def doubt(self) -> None:
        """Ask the store which sagas we own before claiming more; after a lost answer we may own some unknowingly."""
        self._in_doubt = True

    async def run(self) -> None:
        """Claim until cancelled."""
        backoff = Backoff(Pauses(self._poll, LONGEST_PAUSE))
        watch = ClockWatch(self._clock, asyncio.get_running_loop().time)
        while True:
            if watch.has_jumped():
                # The runners computed the times until which they sleep with the clock before it was set.
                self._driven.wake_all()
            # Forgotten before the round: a hint given during the round may be about something it has not seen.
            self._hint.forget()
            try:
                found = await self.claim()
            except Exception as problem:
                if isinstance(problem, BatchTooLarge):
                    self._size.too_large(self._size.now)
                trace = None if isinstance(problem, StoreError) else problem
                if not backoff.has_begun:
                    logger.warning("no sagas can be claimed, trying again: %s", described(problem), exc_info=trace)
                self._in_doubt = True
                await asyncio.sleep(backoff.pause())
                continue
            if backoff.has_begun:
                logger.warning("sagas can be claimed again")
                backoff.reset()
                self._recovery.recovered()
            self._size.passed()
            if found == 0:
                await self._hint.wait(self._poll)

    async def claim(self) -> int:
        """Claim once; return how many sagas and messages were new."""
        async with self._turn:
            return await self._claim() if self._lease.holds else 0

    async def _claim(self) -> int:
        worker_id = self._lease.worker_id
        if self._in_doubt:
            await self._give_back_strays(worker_id)
        self._driven.just_ended.clear()
        room = min(self._size.now, self._driven.room)
        rows = await self._claim_some(worker_id, room) if room > 0 else []
        if not rows and not self._driven.runners:
            # There are no sagas that could have messages.
            return 0
        streams = await self._read([row.saga_id for row in rows]) if rows else {}
        # Sagas that could not be read are left to other workers.
        self._giving_back.add(row.saga_id for row in rows if row.saga_id not in streams)
        rows = [row for row in rows if row.saga_id in streams]
        if any(len(streams[row.saga_id]) != row.version for row in rows):
            # This process was stopped for longer than its lease: others have taken these sagas over and changed them.
            owned = set(await self._blocking.read(self._store.owned, worker_id))
            rows = [row for row in rows if row.saga_id in owned]
        mail = await self._read_mail(worker_id)
        if worker_id != self._lease.worker_id:
            # The lease was lost meanwhile, and with it what was claimed under the old name.
            return 0
        return self._hand_over(rows, streams, mail)

    async def _claim_some(self, worker_id: str, room: int) -> list[StatusRow]:
        """Claim the oldest due sagas; if that fails, one by one, so that one in trouble does not affect the others."""
        await self._lease_watch.look()
        await self._taking_over.look()
        self._definitions = self._threadless.claimed()
        if not self._definitions:
            return []
        now, but = self._clock.now(), [*self._given_up.resting(), *self._one_by_one.resting(), *self._unread.resting()]
        but += self._threadless.resting()
        but += self._inbox.unread
        # While messages cannot be read, no saga is claimed because of them.
        claim = self._store.claim_due if self._setbacks.waits(INBOXES) else self._store.claim
        try:
            rows = await self._blocking.write(claim, worker_id, self._definitions, now, room, but)
        except Exception as problem:
            # The claim may have been written although its answer was lost.
            self._in_doubt = True
            if isinstance(problem, BatchTooLarge):
                self._size.too_large(room)
            logger.info("sagas are claimed one by one: %s", described(problem))
            rows = await self._claim_apart(worker_id, room, but)
            if not rows and not self._one_by_one.resting() and not self._setbacks.waits(INBOXES):
                raise
        self._one_by_one.forget(row.saga_id for row in rows)
        return rows

    async def _claim_apart(self, worker_id: str, room: int, but: Sequence[str]) -> list[StatusRow]:
        due = await self._blocking.read(self._store.due, self._definitions, self._clock.now(), room, but)
        given = await self._one_by_one.each(due, self._claim_one)
        # Sagas with messages come last: the table of the inbox may be the one in trouble.
        if not given and not self._setbacks.waits(INBOXES):
            mailed = await self._look_for_mail(room, but)
            given = await self._one_by_one.each([one for one in mailed if one not in due], self._claim_one)
        rows = await self._blocking.read(self._store.statuses, [saga_id for saga_id, got in given.items() if got])
        return [row for row in rows.values() if row.owner == worker_id]

    async def _look_for_mail(self, room: int, but: Sequence[str]) -> list[str]:
        """Return the sagas to claim because of messages; none for a while after that could not be read."""
        began = asyncio.get_running_loop().time()
        try:
            return await self._blocking.read(self._store.with_mail, self._definitions, room, but)
        except Exception as problem:
            await self._writes()
            self._set_mail_back(problem, began)
            return []

    async def _read_mail(self, worker_id: str) -> Handed | None:
        """Return the messages for sagas of this worker; None if they cannot be read for now."""
        if self._setbacks.waits(INBOXES):
            return None
        began = asyncio.get_running_loop().time()
        try:
            mail = await self._inbox.read(worker_id)
        except Exception as problem:
            self._set_mail_back(problem, began)
            return None
        if self._setbacks.forget(INBOXES):
            logger.warning("the mail of sagas is read again")
        return mail

    def _set_mail_back(self, problem: Exception, began: float) -> None:
        """Read no messages for a while after a failure."""
        took = asyncio.get_running_loop().time() - began
        setback = self._setbacks.add(INBOXES, counts=True, at_least=rest_after(took))
        if is_worth_saying(setback.counted):
            trace = None if isinstance(problem, StoreError) else problem
            text = "the mail of sagas cannot be read, trying again: %s"
            logger.warning(text, described(problem), exc_info=trace)

    async def _read(self, saga_ids: Sequence[str]) -> dict[str, list[StoredEvent]]:
        """Return the histories of sagas that were just claimed; read them one by one if reading all fails."""
        try:
            return await self._blocking.read(self._store.read_many, saga_ids)
        except Exception as problem:
            self._in_doubt = True
            logger.info("the histories of sagas are read one by one: %s", described(problem))

        async def read(saga_id: str) -> list[StoredEvent]:
            return await self._blocking.read(self._store.read, saga_id)

        return await self._unread.each(saga_ids, read)

    async def _claim_one(self, saga_id: str) -> bool:
        return await self._blocking.write(self._store.claim_one, self._lease.worker_id, saga_id, self._clock.now())

    async def _reads(self) -> None:
        """Raise if nothing can be read."""
        await self._blocking.read(self._store.owned, self._lease.worker_id)

    async def _writes(self) -> None:
        """Raise if no write passes. On a full disk this one does, so sagas that rest because of it are soon retried."""
        await self._blocking.write(self._store.release, self._lease.worker_id, [])

    def _hand_over(
        self,
        rows: Sequence[StatusRow],
        streams: dict[str, list[StoredEvent]],
        mail: Handed | None,
    ) -> int:
        driven = self._driven
        # A runner from before the lease was lost may still wait for the end of an attempt. One that has just come to
        # rest may be claimed for its mail before it knows, and go on with what it has got of that.
        busy = [row.saga_id for row in rows if row.saga_id in driven or row.saga_id in driven.just_ended]
        for row in rows:
            if row.saga_id not in busy:
                self._own(row, streams[row.saga_id])
        # Handed over before the new runners run: a saga at rest would otherwise be given back without its messages.
        news = 0 if mail is None else self._inbox.hand_over(mail, driven.give)
        for saga_id in busy:
            driven.wake(saga_id)
        self._giving_back.add(busy)
        return len(rows) - len(busy) + news

    async def _give_back_strays(self, worker_id: str) -> None:
        """Give back sagas that a claim with a lost answer may have made ours, and that nobody here drives."""
        owned = await self._blocking.read(self._store.owned, worker_id)
        self._in_doubt = False
        self._giving_back.add(one for one in owned if one not in self._driven and one not in self._driven.expected)
