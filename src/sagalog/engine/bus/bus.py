"""The durable bus at work in this process: the loops that route messages and handle them, begun and ended together.

It starts nothing if there is no consumer: a process manager with plain sagas pays nothing for it.
"""

import asyncio
from collections.abc import Mapping, Sequence

from sagalog.engine.bus.consumers import Consumers
from sagalog.engine.bus.handling import Handling
from sagalog.engine.bus.participants import Participants
from sagalog.engine.bus.route_batch import Routes
from sagalog.engine.bus.router import Router
from sagalog.engine.loops import Loop
from sagalog.engine.sagas.worker import Worker
from sagalog.engine.surroundings import Surroundings
from sagalog.engine.writing.committer import Committer
from sagalog.messages import Envelope
from sagalog.saga.messages.vocabulary import Vocabulary
from sagalog.store import Route


class Bus:
    """What runs for the consumers of this process: its router and its participants."""

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
        consumers = self._consumers = Consumers(surroundings, worker, names)
        self._router = Router(
            surroundings,
            consumers,
            routes,
            vocabulary,
            self._routed,
            self._unsure,
            committer.recovery,
        )
        self._participants = Participants(surroundings, committer, consumers, handlings)
        self._loops: list[Loop] = []
        self._has_consumers = bool(names)
        self._has_participants = bool(handlings)

    def start(self) -> None:
        """Begin to route and to handle."""
        if self._has_consumers:
            self._loops.append(Loop(self._router.run, "sagalog-router", self._router.doubt))
        if self._has_participants:
            self._loops.append(Loop(self._participants.run, "sagalog-participants"))

    def posted(self) -> None:
        """Look for messages: some have just become durable."""
        self._router.hint()

    def hint(self) -> None:
        """Look for messages and for what is to be handled: another process may have left some."""
        self._router.hint()
        self._participants.hint()

    def redeliver(self) -> None:
        """Look for what a person wants to be delivered again."""
        self._router.redeliver()
        self._participants.hint()

    def _routed(self, route: Route, envelopes: Mapping[str, Envelope]) -> None:
        """Give what was routed to those who are here, and hint those who have to fetch it."""
        fetch = bool(route.starts)
        for row in route.inbox:
            if self._participants.has(row.recipient):
                self._participants.hint(row.recipient)
            elif not self._worker.deliver(row.recipient, envelopes[row.message_id]):
                fetch = True
        if fetch:
            self._worker.hint()

    def _unsure(self, route: Route) -> None:
        """Let all that may have been routed be fetched: it is in the inboxes, or will be routed again."""
        for row in route.inbox:
            if not self._participants.has(row.recipient):
                self._worker.inbox.missed(row.recipient)
        self._participants.hint()
        self._worker.hint()

    async def stop(self, grace: float) -> None:
        """Route no more; let handlers end within `grace` seconds, those in threads in their own time.

        Each consumer is given back as soon as nothing is routed or handled for it any more.
        """
        await asyncio.gather(*(loop.stop() for loop in self._loops))
        self._consumers.give_back([name for name in self._consumers.names if not self._participants.has(name)])
        await self._participants.stop(grace)
