"""NATS JetStream through FastStream: one stream for all messages of a prefix, one durable push consumer a service.

All options are set explicitly, because defaults lose messages silently: a server may delete old messages when it is
full, or stop delivering after some attempts. The duplicate window is not used, because a command that is sent again has
the same id and must arrive.
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

# How many messages one process handles at once, and how many the server may have delivered to a service. Messages that
# are delivered but not yet handled wait in the client while their acknowledgement time runs. With many of them, a slow
# store would make the server deliver everything twice, which makes it slower still.
AT_ONCE = 100
MOST_UNACKNOWLEDGED = 200
# How often, in seconds, the connection is checked, and how often the server is asked whether the consumer still exists:
# the server may have restarted without its data.
LOOK = 0.2
ASK = 3.0
# The most that FastStream and the client add to our headers, in bytes.
HEADERS_OF_OTHERS = 300
# Server errors about a single message: the message or its headers are too large for the stream.
OF_ONE_MESSAGE = (10054, 10049)
HEADER_LINE = b"NATS/1.0\r\n"


def link(plan: Plan) -> "JetStreamLink":
    """Return a connection that is not open yet."""
    return JetStreamLink(plan)


async def _undecoded(message: NatsMessage) -> NatsMessage:
    """Return the message undecoded: a malformed body must reach the inbox, and not fail before it."""
    return message


class _Client(Client):
    """The driver's client with other headers: the driver replaces invalid UTF-8, and keeps one value a header."""

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        driver: Any = super()
        found: dict[str, str] | None = await driver._process_headers(headers)  # noqa: SLF001 - our own parent's
        return found | header_values(headers) if found and headers.startswith(HEADER_LINE) else found


def header_values(block: bytes) -> dict[str, str]:
    """Return the headers of a message unchanged; a repeated header keeps all its values.

    Bytes that are not UTF-8 become lone surrogates, which `cloudevents.decode` refuses.
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
    """FastStream's broker, but it closes the client's socket if connecting fails half way."""

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
            # No reconnecting inside the driver, which would sleep for seconds between its attempts.
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
        """Connect, create the stream and the consumer if they are missing, and begin to fetch."""
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
                    # If the stream is full, sending waits. The other policy would delete messages that nobody has read.
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
                # No limit: after a limited number of deliveries the server would stop silently. The inbox counts
                # deliveries and parks what it cannot take.
                max_deliver=-1,
                max_ack_pending=MOST_UNACKNOWLEDGED,
                # Pushed to one subscriber of the service's group: FastStream's pull loop blocks the event loop while
                # its connection is closed.
                deliver_subject=f"_deliver.{self._stream}.{self._plan.service}",
                deliver_group=self._plan.service,
            )
        else:
            if sorted(found.filter_subjects or [found.filter_subject or ""]) == wanted:
                return
        # Created, or updated to the service's present subjects; other options that an operator has set are kept.
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

        # FastStream sets this only later; messages delivered before that would not be handled for a while.
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
                # The connection is lost, so the message will be delivered again; its recipient knows its id.
                logger.debug("not acknowledged: %s", problem)

    async def publish(self, subject: str, kind: str, headers: dict[str, str], body: bytes, key: str) -> None:
        """Publish and wait until the stream has the message."""
        room = self._broker.connection.max_payload
        size = len(body) + sum(len(name) + len(value) + 4 for name, value in headers.items()) + HEADERS_OF_OTHERS
        if size > room:
            # The server would cut the connection for a message this large, so it is not sent.
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
        """Return the reason when the connection is closed, or the consumer is gone."""
        connection = self._broker.connection
        jetstream = self._jetstream()
        looks = 0
        # Also checked regularly: the driver does not call back if closing itself fails.
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
        """Take nothing more, wait for messages that are being handled, and disconnect."""
        subscribers: list[Any] = list(self._broker.subscribers)
        for subscriber in subscribers:
            try:
                await subscriber.stop()
            except NatsError:
                # Unsubscribing fails on a closed connection, and FastStream then skips the rest of closing.
                subscriber.subscription = None
                await subscriber.stop()
        connection = self._broker.connection
        await connection.close()
        _end_what_is_left(connection)


def _end_what_is_left(connection: object) -> None:
    """End what the driver leaves behind when its closing is interrupted because the connection closes.

    Nothing would wake its subscription tasks again, read the results of its reading and writing tasks, or close the
    socket; each would be reported as an error when it is garbage-collected.
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
