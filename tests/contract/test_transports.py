"""Holds every transport to the one contract: in memory, and NATS on a real server."""

from collections.abc import Generator, Sequence

import pytest
from servers.nats_server import NatsServer, open_nats_server

from sagalog.messages import Message
from sagalog.testing.broker import MemoryBroker
from sagalog.testing.contracts.transport.contract import TransportContract
from sagalog.transport import Transport
from sagalog.transports.faststream import FastStreamTransport


class TestMemory(TransportContract):
    @pytest.fixture
    def broker(self) -> MemoryBroker:
        return MemoryBroker(largest=10_000)


class OnNats:
    """A NATS server, as the contract wants a broker."""

    def __init__(self, server: NatsServer) -> None:
        self._server = server
        self.largest = server.max_payload
        self.kill = server.kill
        self.start = server.start

    def transport(
        self, service: str, *, sends: Sequence[type[Message]] = (), listens: Sequence[type[Message]] = ()
    ) -> Transport:
        return FastStreamTransport(
            self._server.url,
            service=service,
            sends=sends,
            listens=listens,
            prefix="shop",
            acknowledge_within=0.5,
            connect_timeout=2,
            send_timeout=2,
        )


@pytest.mark.nats
class TestNats(TransportContract):
    @pytest.fixture
    def broker(self) -> Generator[OnNats]:
        with open_nats_server(max_payload=10_000) as server:
            yield OnNats(server)
