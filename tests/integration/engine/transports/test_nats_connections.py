"""What a NATS connection that breaks leaves behind in our process: nothing, for a worker makes new ones for ever."""

import asyncio
import gc
import logging
from typing import Any

import pytest
from servers.nats_server import NatsServer

from sagalog import Command
from sagalog.testing.contracts.transport.contract import opened, run, until
from sagalog.transports.faststream import FastStreamTransport
from sagalog.transports.jetstream import JetStreamLink

pytestmark = pytest.mark.nats


class Charge(Command):
    order: str


def test_a_connection_that_breaks_while_it_is_being_closed_is_made_anew_and_reported_by_nobody(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The task of the driver that flushes closes what it could not write to, and may fail in that again."""

    async def test() -> None:
        transport = FastStreamTransport(nats_server.url, service="orders", prefix="shop", sends=[Charge])
        async with opened(transport):
            await until(lambda: transport._link is not None)
            broken: Any = transport._link
            driver = broken._broker.connection
            drained: list[str] = []

            async def drain() -> None:
                task = asyncio.current_task()
                drained.append(str(task and task.get_coro()))
                # Somebody else publishes meanwhile, so there is something to be written once more.
                driver._pending.append(b"PING\r\n")
                driver._pending_data_size += 6
                raise BrokenPipeError(32, "Broken pipe")

            driver._transport.drain = drain
            await driver._send_ping()
            await until(lambda: transport._link not in (None, broken))
            # The second time it was the closing.
            assert len(drained) == 2
            assert all("_flusher" in task for task in drained)

    run(test)
    gc.collect()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_server_that_hangs_up_half_way_through_a_connection_costs_no_socket() -> None:
    """A worker tries again for ever: what every attempt leaves behind would be its end."""

    async def test() -> None:
        hung_up: list[asyncio.StreamWriter] = []

        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            hung_up.append(writer)
            writer.close()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            transport = FastStreamTransport(f"nats://127.0.0.1:{port}", service="orders", sends=[Charge])
            async with opened(transport):
                await until(lambda: len(hung_up) >= 3)

    run(test)
    gc.collect()  # a socket that was left open warns now, and a warning is an error


def test_a_connection_is_closed_though_the_driver_swallows_that_it_was_cancelled(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As `asyncio.wait_for` of Python 3.11 does, if the answer that it waits for comes at the same moment."""
    swallowed: list[JetStreamLink] = []
    lost = JetStreamLink.lost

    async def deaf(link: JetStreamLink) -> str:
        try:
            return await lost(link)
        except asyncio.CancelledError:
            swallowed.append(link)
            return await lost(link)

    monkeypatch.setattr(JetStreamLink, "lost", deaf)

    async def test() -> None:
        transport = FastStreamTransport(nats_server.url, service="orders", prefix="shop", sends=[Charge])
        async with opened(transport):
            await until(lambda: transport._link is not None)
            # What looks after the link looks.
            await asyncio.sleep(0)

    run(test)
    gc.collect()
    assert len(swallowed) == 1
    assert caplog.records == []
