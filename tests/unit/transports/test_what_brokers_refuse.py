"""What a driver fails with: a broker that is away makes all wait, a message that is wrong is refused alone."""

import asyncio
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import nats.errors
import nats.js.errors
import pytest
from aio_pika.exceptions import AMQPConnectionError, ChannelInvalidStateError, ChannelPreconditionFailed
from aiokafka.errors import KafkaTimeoutError, NotEnoughReplicasError  # pyright: ignore[reportMissingTypeStubs]
from aiokafka.structs import ConsumerRecord  # pyright: ignore[reportMissingTypeStubs]
from faststream.exceptions import IncorrectState
from faststream.kafka.message import KafkaAckableMessage
from faststream.kafka.parser import AioKafkaParser
from msgspec import Raw, structs
from pamqp import decode as amqp
from pamqp import encode

from sagalog.cloudevents import AMQP, HTTP, KAFKA, Unreadable, attributes_of, decode
from sagalog.errors import TransportUnavailable
from sagalog.messages import Envelope
from sagalog.transport import Receiver
from sagalog.transports import faststream
from sagalog.transports.faststream import FastStreamTransport
from sagalog.transports.jetstream import JetStreamLink, header_values
from sagalog.transports.kafka import KafkaLink, as_it_is
from sagalog.transports.link import MessageInDoubt, MessageRefused, Plan
from sagalog.transports.rabbitmq import RabbitLink

CHARGE = Envelope(
    id="good", kind="command", name="Charge", source="s", correlation_id="c", time=1, data=Raw(b'{"amount":1}')
)
BAD = structs.replace(CHARGE, id="bad")


class PlantedLink:
    """A connection on which one message fails as it is told."""

    binding = HTTP

    def __init__(self, plan: Plan) -> None:
        self.away: tuple[type[BaseException], ...] = ()
        self.problem: BaseException | None = None
        self.sent: list[str] = []
        self.gone = asyncio.Event()

    async def open(self, receive: Receiver) -> None:
        LINKS.append(self)

    async def publish(self, subject: str, kind: str, headers: dict[str, str], body: bytes, key: str) -> None:
        if headers["ce-id"] == "bad" and self.problem is not None:
            raise self.problem
        self.sent.append(headers["ce-id"])

    async def lost(self) -> str:
        await self.gone.wait()
        return "planted"

    async def close(self) -> None:
        return


LINKS: list[PlantedLink] = []


def sending(
    monkeypatch: pytest.MonkeyPatch,
    away: tuple[type[BaseException], ...],
    problem: BaseException,
    address: str = "planted://here",
) -> list[str | None]:
    """Send a good message, a bad one and a good one; return the outcomes, or raise what sending raises."""
    module = ModuleType("sagalog.transports.planted")
    module.link = PlantedLink  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(faststream.BROKERS, "planted", ("planted", "planted", "nothing"))
    LINKS.clear()

    async def test() -> list[str | None]:
        transport = FastStreamTransport(address, service="orders", sends=["Charge"])
        await transport.open(never)
        while not LINKS:
            await asyncio.sleep(0)
        [link] = LINKS
        link.away, link.problem = away, problem
        await asyncio.sleep(0)
        try:
            return await transport.send([CHARGE, BAD, structs.replace(CHARGE, id="good-2")])
        finally:
            await transport.close()

    return asyncio.run(test())


async def never(incoming: Any) -> Any:
    raise AssertionError("nothing comes in")


def test_a_driver_that_repeats_the_address_is_not_believed_with_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "planted://ada:Kq7wZ4x@here"
    with pytest.raises(TransportUnavailable, match="no answer from") as caught:
        sending(monkeypatch, (), ConnectionResetError(f"no answer from {address}\x1b[2J"), address)
    text = "".join(traceback.format_exception(caught.value))
    assert "Kq7wZ4x" not in text
    assert "\x1b" not in text


JETSTREAM_FULL = nats.js.errors.APIError(code=503, err_code=10077, description="maximum bytes exceeded")
NATS, RABBIT, KAFKA_AWAY = JetStreamLink.away, RabbitLink.away, KafkaLink.away


@pytest.mark.parametrize(
    ("away", "problem"),
    [
        (NATS, nats.errors.ConnectionClosedError()),
        (NATS, nats.errors.TimeoutError()),
        (NATS, nats.errors.OutboundBufferLimitError()),
        (NATS, nats.js.errors.NoStreamResponseError()),
        (NATS, JETSTREAM_FULL),
        (RABBIT, AMQPConnectionError()),
        (RABBIT, ChannelInvalidStateError()),
        (RABBIT, ConnectionError("no queue takes it")),
        (KAFKA_AWAY, KafkaTimeoutError()),
        (KAFKA_AWAY, NotEnoughReplicasError()),
        ((), asyncio.CancelledError()),
        ((), TimeoutError()),
        ((), ConnectionResetError()),
        ((), IncorrectState("not started")),
    ],
    ids=lambda given: type(given).__name__,
)
def test_a_broker_that_is_away_makes_all_wait(
    monkeypatch: pytest.MonkeyPatch, away: tuple[type[BaseException], ...], problem: BaseException
) -> None:
    with pytest.raises(TransportUnavailable, match=type(problem).__name__):
        sending(monkeypatch, away, problem)


@pytest.mark.parametrize(
    "problem",
    [
        MessageRefused("too large"),
        ValueError("a routing key of 300 bytes"),
        TypeError("no text"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
        OverflowError("date value out of range"),
    ],
    ids=lambda problem: type(problem).__name__,
)
def test_a_message_that_cannot_be_written_down_is_refused_alone(
    monkeypatch: pytest.MonkeyPatch, problem: BaseException
) -> None:
    outcomes = sending(monkeypatch, NATS, problem)
    assert (outcomes[0], outcomes[2]) == (None, None)
    assert str(problem) in (outcomes[1] or "")
    assert LINKS[0].sent == ["good", "good-2"]


@pytest.mark.parametrize("problem", [MessageInDoubt("too large"), RuntimeError("a bug of the driver")])
def test_what_nobody_foresaw_is_left_to_be_sent_alone(monkeypatch: pytest.MonkeyPatch, problem: Exception) -> None:
    with pytest.raises(type(problem), match=str(problem)):
        sending(monkeypatch, NATS, problem)


# ------------------------------------------------------------------------------------------- what the links refuse


def published(link: Any, problem: BaseException) -> Any:
    """Return a publishing whose driver fails."""

    async def fail(*_: Any, **__: Any) -> None:
        raise problem

    connection = type("Connection", (), {"max_payload": 9999})
    link._broker = type("Driver", (), {"publish": staticmethod(fail), "connection": connection})
    return link.publish("shop.commands.Charge", "command", {"content-type": "application/json"}, b"{}", "c")


def plan(address: str) -> Plan:
    return Plan(
        address=address,
        service="orders",
        prefix="shop",
        subjects=(),
        options={},
        acknowledge_within=1,
        keep=None,
        connect_timeout=1,
        send_timeout=1,
    )


def run(made: Callable[[], Any], problem: BaseException) -> None:
    async def test() -> None:
        await published(made(), problem)

    asyncio.run(test())


@pytest.mark.parametrize(
    "problem",
    [
        nats.errors.MaxPayloadError(),
        nats.errors.BadSubjectError(),
        nats.errors.BadHeaderError(),
        nats.js.errors.APIError(code=400, err_code=10054, description="message size exceeds maximum allowed"),
        nats.js.errors.APIError(code=400, err_code=10049, description="header size exceeds maximum allowed of 64k"),
    ],
    ids=repr,
)
def test_what_nats_says_of_one_message_is_a_refusal(problem: BaseException) -> None:
    with pytest.raises(MessageRefused):
        run(lambda: JetStreamLink(plan("nats://127.0.0.1:1")), problem)


def test_a_channel_that_rabbitmq_closes_tells_nobody_which_message_it_was() -> None:
    with pytest.raises(MessageInDoubt):
        run(lambda: RabbitLink(plan("amqp://127.0.0.1:1")), ChannelPreconditionFailed("larger than the most"))


# ------------------------------------------------------------------------------------------- headers as they came


def test_headers_of_nats_keep_bytes_that_are_no_text_and_all_values_of_a_name() -> None:
    block = b"NATS/1.0\r\nce-id: \xe9\r\nce-id:1\r\nce-step:\t a \r\nbad name\xff: 1\r\nno colon\r\n\r\n"
    found = header_values(block)
    assert found == {"ce-id": "\udce9\ud8011", "ce-step": "a"}
    unread = decode(attributes_of(found, HTTP) | {"specversion": "1.0"}, b"{}", 1, "nats")
    assert isinstance(unread, Unreadable)
    assert "id: expected one header, found several" in unread.reason


def test_a_record_of_kafka_whose_headers_are_no_text_is_parsed_all_the_same() -> None:
    """FastStream fails on it before anybody can park it, and its partition would stand still."""
    headers: Sequence[tuple[str, Any]] = [("ce_id", b"\xe9"), ("ce_source", None), ("ce_id", b"1")]
    made: Any = ConsumerRecord
    record = made("topic", 0, 7, 1, 0, None, b"\xff", None, 0, 1, headers)
    parser: Any = AioKafkaParser(KafkaAckableMessage, None)

    async def test() -> Any:
        with pytest.raises((UnicodeDecodeError, AttributeError)):
            await parser.parse_message(record)
        return await as_it_is(record, parser.parse_message)

    message = asyncio.run(test())
    assert message.raw_message is record
    assert message.body == b"\xff"
    assert attributes_of(message.raw_message.headers, KAFKA) == {"id": "\udce9\ud8011"}


def test_what_rabbitmq_hands_over_as_bytes_is_refused_and_replaced_by_nothing() -> None:
    tables = [encode.field_table({"cloudEvents_id": "XX"}).replace(b"XX", raw) for raw in (b"\xff\xfe", b"\xff\xfd")]
    found = [attributes_of(amqp.field_table(table)[1], AMQP)["id"] for table in tables]
    assert found == ["\udcff\udcfe", "\udcff\udcfd"]


def test_a_service_that_declares_a_transport_is_imported_without_its_driver() -> None:
    """The demo opens none, and its environment has none."""
    code = "import sys; sys.modules['faststream'] = None; import domain; assert domain.transports"
    asked = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stderr
