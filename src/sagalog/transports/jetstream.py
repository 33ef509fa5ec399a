"""NATS JetStream through FastStream: one stream for all messages of a prefix, one durable push consumer a service.

What is declared is written out, since the defaults lose messages: a server that deletes old messages when it is full,
or stops delivering after some attempts, would do so silently. The duplicate window is not used: a command that is
sent again after silence has the same id and must arrive.
"""

import asyncio
import logging
from typing import Any, cast

from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker
from faststream.nats.message import NatsMessage
from nats.aio.client import Client
from nats.errors import BadHeaderError, BadSubjectError, MaxPayloadError
from nats.errors import Error as NatsError
from nats.js.api import (
    AckPolicy as Acknowledging,
)
from nats.js.api import (
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import APIError, NotFoundError

from sagalog.cloudevents import HTTP, TWICE, attributes_of
from sagalog.transport import Incoming, Receiver
from sagalog.transports.link import MessageRefused, Plan

logger = logging.getLogger("sagalog.transports")

# How many messages one process has in hand at once, and how many the server may have delivered to all of a service.
# Those that are delivered and not in hand wait in the client while their time to be acknowledged runs: with many of
# them, a slow store would make the server deliver everything twice, and be slower still.
AT_ONCE = 100
MOST_UNACKNOWLEDGED = 200
# How often, in seconds, the connection is looked at, and how often the server is asked whether the consumer is still
# there: it may have come back without its data.
LOOK = 0.2
ASK = 3.0
# What FastStream and the client put into the headers beside ours, at most, in bytes.
HEADERS_OF_OTHERS = 300
# Answers of the server that are of one message: it, or its headers, are larger than the stream takes.
OF_ONE_MESSAGE = (10054, 10049)
HEADER_LINE = b"NATS/1.0\r\n"


def link(plan: Plan) -> "JetStreamLink":
    """Return a connection that is not open yet."""
    return JetStreamLink(plan)


async def _undecoded(message: NatsMessage) -> NatsMessage:
    """Leave the body alone: what is malformed must reach the inbox, and not fail before it."""
    return message


class _Client(Client):
    """The driver's, but for headers: it replaces bytes that are no UTF-8, and keeps the last of several values."""

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        driver: Any = super()
        found: dict[str, str] | None = await driver._process_headers(headers)  # noqa: SLF001 - our own parent's
        return found | header_values(headers) if found and headers.startswith(HEADER_LINE) else found


def header_values(block: bytes) -> dict[str, str]:
    """Return the headers of a message as they came, those that came several times with all their values.

    Bytes that are no UTF-8 become lone surrogates, which `cloudevents.decode` refuses.
    """
    found: dict[str, str] = {}
    for line in block.removeprefix(HEADER_LINE).split(b"\r\n"):
        name, colon, value = line.partition(b":")
        key = name.strip().decode("ascii", "ignore")
        if not colon or key.encode() != name.strip():
            continue
        text = value.strip().decode("utf-8", "surrogateescape")
        found[key] = text if found.get(key, text) == text else f"{found[key]}{TWICE}{text}"
    return found


class _Broker(NatsBroker):
    """FastStream's, but for a connection that fails half way: of that one the client leaves the socket open."""

    async def _connect(self) -> Client:
        client = _Client()
        try:
            await client.connect(**self._connection_kwargs)
        except BaseException:
            await client.close()
            raise
        self.config.connect(client)
        return client


class JetStreamLink:
    """One connection to a NATS server or cluster."""

    binding = HTTP
    away = (NatsError,)

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        # A stream's name may hold no dot, and two prefixes must not share a stream.
        self._stream = plan.prefix.replace(".", "--")
        self._closed = asyncio.Event()
        options: dict[str, Any] = {
            # Who is not there is not waited for in here: the driver would sleep for seconds between its attempts.
            "allow_reconnect": False,
            "max_reconnect_attempts": 1,
            "reconnect_time_wait": 0,
            "closed_cb": self._on_close,
            "connect_timeout": max(1, int(plan.connect_timeout)),
            "ping_interval": 5,
            "max_outstanding_pings": 2,
            "name": plan.service,
            "graceful_timeout": 10.0,
            "drain_timeout": 5,
            "logger": None,
            "apply_types": False,
            **plan.options,
        }
        self._broker = _Broker(plan.address.split(","), **options)

    async def _on_close(self) -> None:
        self._closed.set()

    async def open(self, receive: Receiver) -> None:
        """Connect, make the stream and the consumer if they are missing, and begin to fetch."""
        await self._broker.connect()
        await self._make_stream()
        if self._plan.subjects:
            await self._make_consumer()
            self._listen(receive)
        await self._broker.start()

    def _jetstream(self) -> Any:
        connection: Any = self._broker.connection
        return connection.jetstream(timeout=self._plan.connect_timeout)

    async def _make_stream(self) -> None:
        jetstream = self._jetstream()
        try:
            await jetstream.stream_info(self._stream)
        except NotFoundError:
            await jetstream.add_stream(
                StreamConfig(
                    name=self._stream,
                    subjects=[f"{self._plan.prefix}.commands.>", f"{self._plan.prefix}.events.>"],
                    storage=StorageType.FILE,
                    retention=RetentionPolicy.LIMITS,
                    # Full means that sending waits. The other policy forgets what nobody has read yet.
                    discard=DiscardPolicy.NEW,
                    max_msgs=-1,
                    max_bytes=-1,
                    max_age=self._plan.keep or 0,
                )
            )

    async def _make_consumer(self) -> None:
        jetstream = self._jetstream()
        wanted = list(self._plan.subjects)
        try:
            found = (await jetstream.consumer_info(self._stream, self._plan.service)).config
        except NotFoundError:
            found = ConsumerConfig(
                name=self._plan.service,
                durable_name=self._plan.service,
                deliver_policy=DeliverPolicy.ALL,
                ack_policy=Acknowledging.EXPLICIT,
                ack_wait=self._plan.acknowledge_within,
                # Endless: after the last of a number of deliveries the server would just stop, and tell nobody. The
                # inbox counts, and parks what it cannot take.
                max_deliver=-1,
                max_ack_pending=MOST_UNACKNOWLEDGED,
                # Pushed, to one of those who have subscribed under the name of the service: FastStream's loop that
                # pulls never lets go of the event loop while its connection is closed.
                deliver_subject=f"_deliver.{self._stream}.{self._plan.service}",
                deliver_group=self._plan.service,
            )
        else:
            if sorted(found.filter_subjects or [found.filter_subject or ""]) == wanted:
                return
        # Made anew, or told to listen to what the service listens to by now; what an operator has set stays.
        found.filter_subject, found.filter_subjects = None, wanted
        await jetstream.add_consumer(self._stream, found)

    def _listen(self, receive: Receiver) -> None:
        subscriber = self._broker.subscriber(
            "",
            stream=JStream(self._stream, declare=False),
            queue=self._plan.service,
            config=ConsumerConfig(filter_subjects=list(self._plan.subjects)),
            max_workers=AT_ONCE,
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            decoder=_undecoded,
        )

        # What is delivered before FastStream has come to say this itself would be left lying for a while.
        subscriber.running = True

        @subscriber
        async def _(message: NatsMessage) -> None:
            raw = message.raw_message
            attributes = attributes_of(message.headers, HTTP)
            incoming = Incoming(attributes=attributes, body=raw.data, deliveries=raw.metadata.num_delivered or 1)
            receipt = await receive(incoming)
            try:
                if receipt.taken:
                    await message.ack()
                else:
                    await message.nack(delay=receipt.pause)
            except NatsError as problem:
                # The connection is gone, so it will be delivered again; whoever has taken it knows it.
                logger.debug("not acknowledged: %s", problem)

    async def publish(self, subject: str, kind: str, headers: dict[str, str], body: bytes, key: str) -> None:
        """Publish and wait until the stream has the message."""
        room = self._broker.connection.max_payload
        size = len(body) + sum(len(name) + len(value) + 4 for name, value in headers.items()) + HEADERS_OF_OTHERS
        if size > room:
            # The server answers this by cutting the connection, so it must never see it.
            raise MessageRefused(f"it is {size:,} bytes with its headers, the server takes {room:,}")
        try:
            await self._broker.publish(
                body, subject, headers=headers, stream=self._stream, timeout=self._plan.send_timeout
            )
        except (MaxPayloadError, BadSubjectError, BadHeaderError) as problem:
            raise MessageRefused(str(problem)) from None
        except APIError as problem:
            if problem.err_code in OF_ONE_MESSAGE:
                raise MessageRefused(f"stream {self._stream}: {problem.description}") from None
            raise

    async def lost(self) -> str:
        """Return when the connection is closed, or the consumer is gone."""
        connection = self._broker.connection
        jetstream = self._jetstream()
        looks = 0
        # Looked at as well: the driver does not call back when closing itself fails.
        while connection.is_connected and not self._closed.is_set():
            try:
                async with asyncio.timeout(LOOK):
                    await self._closed.wait()
            except TimeoutError:
                looks += 1
            if looks * LOOK < ASK:
                continue
            looks = 0
            try:
                if self._plan.subjects:
                    await jetstream.consumer_info(self._stream, self._plan.service)
                else:
                    await jetstream.stream_info(self._stream)
            except NotFoundError as problem:
                return f"the stream or the consumer is gone: {problem.description}"
        return f"the connection was closed ({connection.last_error!r})"

    async def close(self) -> None:
        """Take nothing more, wait for what is in hand, and disconnect."""
        subscribers: list[Any] = list(self._broker.subscribers)
        for subscriber in subscribers:
            try:
                await subscriber.stop()
            except NatsError:
                # Unsubscribing is all that fails on a closed connection; FastStream leaves out what comes after it.
                subscriber.subscription = None
                await subscriber.stop()
        connection = self._broker.connection
        await connection.close()
        _end_what_is_left(connection)


def _end_what_is_left(connection: object) -> None:
    """End what the driver forgets when its closing is broken off by the connection that it closes.

    Nobody would wake the tasks of subscriptions again, ask those that read and write what they ended with, or close the
    socket; each would be reported as an error when it is collected.
    """
    driver = vars(connection)
    subscriptions = cast("dict[int, object]", driver.get("_subs", {}))
    for subscription in subscriptions.values():
        task = cast("asyncio.Task[None] | None", vars(subscription).get("_wait_for_msgs_task"))
        if task is not None:
            task.cancel()
    for name in ("_reading_task", "_flusher_task", "_ping_interval_task"):
        task = cast("asyncio.Task[None] | None", driver.get(name))
        if task is not None:
            task.add_done_callback(_hear)
    transport: Any = driver.get("_transport")
    if transport is not None:
        transport.close()


def _hear(task: "asyncio.Task[None]") -> None:
    if not task.cancelled():
        logger.debug("a connection ended with %r", task.exception())
