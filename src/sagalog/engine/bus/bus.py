"""The durable bus of this process: the loops that route and handle messages, started and stopped together.

Without a consumer it starts nothing, so it costs a process manager with plain sagas nothing.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence

from sagalog.engine.bus.consumers import Consumers
from sagalog.engine.bus.handling import Handling
from sagalog.engine.bus.participants import Participants
from sagalog.engine.bus.reading import Reading
from sagalog.engine.bus.route_batch import Routes
from sagalog.engine.bus.router import Router
from sagalog.engine.loops import Loop
from sagalog.engine.sagas.worker import Worker
from sagalog.engine.surroundings import Surroundings
from sagalog.engine.writing.committer import Committer
from sagalog.errors import StoreError
from sagalog.messages import Envelope
from sagalog.saga.failure import described
from sagalog.saga.messages.vocabulary import Vocabulary
from sagalog.store import Route

logger = logging.getLogger("sagalog.engine")


class Bus:
    """The router and the participants of this process."""

    def __init__(
        self,
        surroundings: Surroundings,
        committer: Committer,
        worker: Worker,
        vocabulary: Vocabulary,
        routes: Sequence[Routes],
        handlings: Sequence[Handling],
    ) -> None:
        self._worker = worker
        names = [one.consumer for one in routes]
        reading = Reading(surroundings.store, [one.definition for one in handlings])
        consumers = self._consumers = Consumers(surroundings, worker, names, reading.reacting)
        self._router = Router(
            surroundings,
            consumers,
            routes,
            reading,
            vocabulary,
            self._routed,
            self._unsure,
            committer.recovery,
        )
        self._participants = Participants(surroundings, committer, consumers, handlings)
        self._loops: list[Loop] = []
        self._has_consumers = bool(names)
        self._has_participants = bool(handlings)
        self._reacts = any(reading.wants_notes(name) for name in names)

    async def start(self) -> None:
        """Start the loops that are needed; whoever reacts to sagas hears of what happens from now on."""
        if self._reacts:
            await self._take_now()
        if self._has_consumers:
            self._loops.append(Loop(self._router.run, "sagalog-router", self._router.doubt))
        if self._has_participants:
            self._loops.append(Loop(self._participants.run, "sagalog-participants"))

    async def _take_now(self) -> None:
        """Take consumers before anything can happen: a new one begins where the log ends when it is taken."""
        try:
            await self._consumers.take()
        except StoreError as problem:
            # The router tries again; an outage must not keep all else from being started.
            logger.info("consumers could not be taken yet: %s", described(problem))

    def posted(self) -> None:
        """Let the router look for messages, because some have just become durable."""
        self._router.hint()

    def hint(self) -> None:
        """Look for messages to route and to handle, because another process may have written some."""
        self._router.hint()
        self._participants.hint()

    def redeliver(self) -> None:
        """Look for messages that a person wants to be delivered again."""
        self._router.redeliver()
        self._participants.hint()

    def _routed(self, route: Route, envelopes: Mapping[str, Envelope]) -> None:
        """Pass routed messages to their recipients in this process; give a hint for those that must be fetched."""
        fetch = bool(route.starts)
        for row in route.inbox:
            if self._participants.has(row.recipient):
                self._participants.hint(row.recipient)
            elif not self._worker.deliver(row.recipient, envelopes[row.message_id]):
                fetch = True
        if fetch:
            self._worker.hint()

    def _unsure(self, route: Route) -> None:
        """Let recipients read their inboxes, because nobody knows whether this write was done.

        If it was not, the messages are routed again.
        """
        for row in route.inbox:
            if not self._participants.has(row.recipient):
                self._worker.inbox.missed(row.recipient)
        self._participants.hint()
        self._worker.hint()

    async def stop(self, grace: float) -> None:
        """Stop routing, and give running handlers `grace` seconds to end; those in threads are waited for.

        Each consumer is released as soon as nothing is routed or handled for it any more.
        """
        await asyncio.gather(*(loop.stop() for loop in self._loops))
        self._consumers.give_back([name for name in self._consumers.names if not self._participants.has(name)])
        await self._participants.stop(grace)
