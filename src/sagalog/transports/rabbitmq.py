"""RabbitMQ through FastStream: one topic exchange for all messages of a prefix, one durable quorum queue a service."""

import asyncio
import logging
from typing import Any

from aio_pika.exceptions import AMQPError, ChannelInvalidStateError, ChannelPreconditionFailed, DeliveryError
from faststream import AckPolicy
from faststream.rabbit import Channel, ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitQueue
from faststream.rabbit.message import RabbitMessage

from sagalog.cloudevents import AMQP, attributes_of
from sagalog.transport import Incoming, Receiver
from sagalog.transports.link import MessageInDoubt, Plan

logger = logging.getLogger("sagalog.transports")

AT_ONCE = 100
LOOK = 0.2
# RabbitMQ 4 writes "no limit" as -1, which makes version 3 drop a message when it is first given back.
NO_LIMIT = 1_000_000_000


def link(plan: Plan) -> "RabbitLink":
    """Return a connection that is not open yet."""
    return RabbitLink(plan)


async def _undecoded(message: RabbitMessage) -> RabbitMessage:
    """Return the message undecoded: a malformed body must reach the inbox, and not fail before it."""
    return message


class RabbitLink:
    """One connection to RabbitMQ."""

    binding = AMQP
    away = (AMQPError, ChannelInvalidStateError)

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._queue = f"{plan.prefix}.{plan.service}"
        self._exchange = RabbitExchange(plan.prefix, type=ExchangeType.TOPIC, durable=True)
        options: dict[str, Any] = {
            "default_channel": Channel(prefetch_count=AT_ONCE, publisher_confirms=True, on_return_raises=True),
            "timeout": plan.connect_timeout,
            "graceful_timeout": 10.0,
            "logger": None,
            "apply_types": False,
            **plan.options,
        }
        self._broker = RabbitBroker(plan.address, **options)

    async def open(self, receive: Receiver) -> None:
        """Connect, declare the exchange and the queue, and begin to consume."""
        await self._broker.connect()
        await self._broker.declare_exchange(self._exchange)
        if self._plan.subjects:
            # Quorum queues count deliveries and survive the loss of a node. At a delivery limit the server would drop a
            # message for good; the inbox counts deliveries, and parks what it cannot take.
            queue = RabbitQueue(self._queue, queue_type=QueueType.QUORUM, arguments={"x-delivery-limit": NO_LIMIT})
            declared = await self._broker.declare_queue(queue)
            for subject in self._plan.subjects:
                await declared.bind(self._plan.prefix, subject)
            self._listen(receive)
        await self._broker.start()

    def _listen(self, receive: Receiver) -> None:
        queue = RabbitQueue(self._queue, queue_type=QueueType.QUORUM, declare=False)
        subscriber = self._broker.subscriber(queue, ack_policy=AckPolicy.MANUAL, no_reply=True, decoder=_undecoded)

        # FastStream sets this only later; messages delivered before that would never be acknowledged.
        subscriber.running = True

        @subscriber
        async def _(message: RabbitMessage) -> None:
            raw = message.raw_message
            headers = {**raw.headers, "content-type": raw.content_type or "application/json"}
            before = raw.headers.get("x-delivery-count", 0)
            incoming = Incoming(
                attributes=attributes_of(headers, AMQP),
                body=raw.body,
                deliveries=1 + before if isinstance(before, int) else 1,
            )
            receipt = await receive(incoming)
            try:
                if receipt.taken:
                    await message.ack()
                else:
                    # RabbitMQ has no pause: a message that is given back is delivered again at once.
                    await asyncio.sleep(receipt.pause)
                    await message.nack(requeue=True)
            except (AMQPError, ConnectionError, RuntimeError) as problem:
                logger.debug("not acknowledged: %s", problem)

    async def publish(self, subject: str, kind: str, headers: dict[str, str], body: bytes, key: str) -> None:
        """Publish and wait for the confirmation."""
        content_type = headers.pop("content-type")
        try:
            await self._broker.publish(
                body,
                exchange=self._exchange,
                routing_key=subject,
                headers=dict(headers),
                content_type=content_type,
                persist=True,
                # An exchange keeps nothing: without a queue a message is lost. A command waits until its service has
                # declared a queue; an event without a queue has no listener, and can be dropped.
                mandatory=kind == "command",
                timeout=self._plan.send_timeout,
            )
        except DeliveryError as problem:
            raise ConnectionError(f"no queue takes {subject}: start the service that listens to it") from problem
        except ChannelPreconditionFailed as problem:
            # A message that is too large closes the channel, also for messages sent at the same time.
            raise MessageInDoubt(str(problem)) from problem

    async def lost(self) -> str:
        """Return the reason when the connection is closed."""
        connection = await self._broker.connect()
        while connection.connected.is_set() and not connection.is_closed:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(LOOK)
        return "the connection was closed"

    async def close(self) -> None:
        """Take nothing more, wait for messages that are being handled, and disconnect."""
        await self._broker.stop()
