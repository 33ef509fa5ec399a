"""The transports of this process: each sends messages from the log, and takes in what its broker delivers."""

import asyncio
from collections.abc import Sequence

from sagalog.engine.bus.consumers import Consumers
from sagalog.engine.sagas.worker import Worker
from sagalog.engine.surroundings import Surroundings
from sagalog.engine.transports.receiving import HandleMessage, ParkRow, Receiving
from sagalog.engine.transports.relay import Relay, consumer_of
from sagalog.engine.writing.committer import Committer
from sagalog.errors import DefinitionError, InvalidIdentifier
from sagalog.messages import Envelope
from sagalog.saga.identifiers import LONGEST_NAME, check_identifier
from sagalog.store import Posting
from sagalog.transport import Transport


class Transports:
    """The transports of a process manager, started and stopped together."""

    def __init__(
        self,
        transports: Sequence[Transport],
        surroundings: Surroundings,
        committer: Committer,
        worker: Worker,
        handle: HandleMessage,
        park: ParkRow,
    ) -> None:
        self._committer = committer
        self._receivings = [(one, Receiving(one.name, handle, park, surroundings.clock)) for one in transports]
        self._relays = [
            Relay(
                one,
                surroundings,
                Consumers(surroundings, worker, [consumer_of(one)]),
                self._delivered,
            )
            for one in transports
        ]
        for relay in self._relays:
            committer.recovery.add_taker(relay.take)

    async def _delivered(self, command_ids: Sequence[str]) -> None:
        await self._committer.post(Posting(delivered=command_ids))

    async def start(self) -> None:
        """Start to send and to receive."""
        for relay in self._relays:
            relay.start()
        for transport, receiving in self._receivings:
            await transport.open(receiving)

    def carry(self, envelope: Envelope) -> bool:
        """Tell whether a transport of this process carries messages like this one."""
        return any(one.carries(envelope) for one, _ in self._receivings)

    def hint(self) -> None:
        """Let the relays look for messages now, because some may have become durable."""
        for relay in self._relays:
            relay.hint()

    def redeliver(self) -> None:
        """Let the relays look for messages that a person redelivers."""
        for relay in self._relays:
            relay.redeliver()

    async def stop(self) -> None:
        """Stop sending, then stop receiving; messages that are being received are still taken in."""
        await asyncio.gather(*(relay.close() for relay in self._relays))
        await asyncio.gather(*(transport.close() for transport, _ in self._receivings))


def check_transports(transports: Sequence[Transport]) -> None:
    """Raise `DefinitionError` for an invalid name, and for a name used twice: the two would share a position."""
    names = [one.name for one in transports]
    for name in names:
        try:
            check_identifier(name, "the name of a transport", LONGEST_NAME)
        except InvalidIdentifier as problem:
            raise DefinitionError(f"{problem}; give it another") from None
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DefinitionError(f"two transports are called {', '.join(twice)}; give each a name of its own")
