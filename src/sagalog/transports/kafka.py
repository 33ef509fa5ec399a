"""Kafka through FastStream: one topic for each message type, one consumer group for each service.

Messages of one correlation id stay in order. A group acknowledges no single message, only a position. So a process
takes messages one after the other, and one that fails holds up those behind it until it is taken or parked.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from copy import copy
from typing import Any

from aiokafka.errors import (  # pyright: ignore[reportMissingTypeStubs]
    InvalidTimestampError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RecordTooLargeError,
)
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaMessage

from sagalog.cloudevents import KAFKA, attributes_of
from sagalog.transport import Incoming, Receipt, Receiver
from sagalog.transports.link import MessageRefused, Plan

logger = logging.getLogger("sagalog.transports")

LOOK = 2.0
OF_ONE_MESSAGE = (
    InvalidTimestampError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RecordTooLargeError,
)


def link(plan: Plan) -> "KafkaLink":
    """Return a connection that is not open yet."""
    return KafkaLink(plan)


async def _undecoded(message: KafkaMessage) -> KafkaMessage:
    """Return the message undecoded: a malformed body must reach the inbox, and not fail before it."""
    return message


async def as_it_is(record: Any, parse: Callable[[Any], Awaitable[Any]]) -> Any:
    """Parse a record without its headers: FastStream fails on headers that are not UTF-8 before they can be parked."""
    bare = copy(record)
    bare.headers = ()
    message = await parse(bare)
    message.raw_message = record
    return message


class KafkaLink:
    """One set of connections to a Kafka cluster."""

    binding = KAFKA
    away = (KafkaError,)

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        # Kafka counts no deliveries. Messages come one after the other, so one counter is enough.
        self._failing: tuple[str, int, int] | None = None
        self._failed = 0
        options: dict[str, Any] = {
            "acks": "all",
            "enable_idempotence": True,
            "request_timeout_ms": int(plan.send_timeout * 1000),
            "graceful_timeout": 10.0,
            "logger": None,
            "apply_types": False,
            **plan.options,
        }
        self._broker = KafkaBroker(plan.address.removeprefix("kafka://").split(","), **options)

    async def open(self, receive: Receiver) -> None:
        """Connect, join the group, and begin to consume; the cluster or its operator creates the topics."""
        if self._plan.subjects:
            self._listen(receive)
        await self._broker.start()

    def _listen(self, receive: Receiver) -> None:
        subscriber = self._broker.subscriber(
            *self._plan.subjects,
            group_id=f"{self._plan.prefix}.{self._plan.service}",
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            parser=as_it_is,
            decoder=_undecoded,
        )

        @subscriber
        async def _(message: KafkaMessage) -> None:
            record = message.raw_message
            if isinstance(record, tuple):
                return
            place = (record.topic, record.partition, record.offset)
            self._failed = self._failed if place == self._failing else 0
            incoming = Incoming(
                attributes=attributes_of(record.headers or (), KAFKA),
                body=record.value or b"",
                deliveries=self._failed + 1,
            )
            receipt = await receive(incoming)
            try:
                await self._settle(message, receipt)
            except KafkaError as problem:
                logger.debug("not acknowledged: %s", problem)
            self._failing, self._failed = place, self._failed + 1

    async def _settle(self, message: KafkaMessage, receipt: Receipt) -> None:
        if receipt.taken:
            await message.ack()
        else:
            await asyncio.sleep(receipt.pause)
            await message.nack()

    async def publish(self, subject: str, kind: str, headers: dict[str, str], body: bytes, key: str) -> None:
        """Publish and wait until all in-sync replicas have the message."""
        try:
            await self._broker.publish(body, subject, key=key.encode(), headers=headers)
        except OF_ONE_MESSAGE as problem:
            raise MessageRefused(str(problem)) from None

    async def lost(self) -> str:
        """Return the reason when the cluster does not answer any more."""
        while await self._broker.ping(timeout=self._plan.connect_timeout):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(LOOK)
        return "the cluster does not answer"

    async def close(self) -> None:
        """Take nothing more, wait for messages that are being handled, and leave the group."""
        await self._broker.stop()
