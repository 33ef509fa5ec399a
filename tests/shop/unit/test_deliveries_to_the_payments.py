"""What the broker delivers to the payment service: acknowledged once it is done and answered, and never before."""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence

import pytest
from msgspec import Raw
from sagas.shop import operations

from domain.database import IN_MEMORY, Database
from domain.payments.deliveries import AGAIN, MOST_DELIVERIES, TAKEN, Deliveries
from domain.payments.inbox import PaymentsInbox
from domain.payments.messages import ProcessPayment, RefundPayment
from domain.payments.service import SLOW_REFUND_CARD, SLOW_REFUND_TRIES
from sagalog.cloudevents import encode
from sagalog.codec import encode_json
from sagalog.errors import TransportUnavailable
from sagalog.messages import Command, Envelope, name_of
from sagalog.transport import Incoming, Receipt


def wire(message_id: str, command: Command, deliveries: int = 1) -> Incoming:
    """Return a command as the order process sends it."""
    attributes, body = encode(
        Envelope(
            id=message_id,
            kind="command",
            name=name_of(type(command)),
            source="saga:order-fulfilment-remote",
            correlation_id="s1",
            time=1,
            data=Raw(encode_json(command)),
        ),
        "orders",
    )
    return Incoming(attributes=attributes, body=body, deliveries=deliveries)


class Broker:
    """Deliver to the payment service, and keep what it sends."""

    def __init__(self, inbox: PaymentsInbox) -> None:
        self.sent: list[Envelope] = []
        self.away = False
        self.refuses: str | None = None
        self._deliveries = Deliveries(inbox, self._send)

    async def _send(self, envelopes: Sequence[Envelope]) -> list[str | None]:
        if self.away:
            raise TransportUnavailable("the broker is away")
        self.sent += envelopes
        return [self.refuses for _ in envelopes]

    def deliver(self, incoming: Incoming) -> Receipt:
        """Deliver one message and return what becomes of it."""
        return asyncio.run(self._deliver(incoming))

    async def _deliver(self, incoming: Incoming) -> Receipt:
        return await self._deliveries(incoming)

    def command(self, message_id: str, command: Command, *, deliveries: int = 1) -> Receipt:
        """Deliver a command as the order process would send it."""
        return self.deliver(wire(message_id, command, deliveries))


@pytest.fixture
def inbox() -> Iterator[PaymentsInbox]:
    with Database(IN_MEMORY) as database:
        yield PaymentsInbox(database)


PAYMENT = ProcessPayment(order_id="o1", card_token="tok_visa", amount_cents=100)


def test_a_command_is_acknowledged_once_it_is_answered(inbox: PaymentsInbox) -> None:
    broker = Broker(inbox)
    assert broker.command("c1", PAYMENT) == TAKEN
    assert [answer.name for answer in broker.sent] == ["PaymentCaptured"]
    assert inbox.payments.balance_cents() == 100


def test_a_command_whose_answer_could_not_be_sent_is_asked_for_again_and_answered_the_same(
    inbox: PaymentsInbox,
) -> None:
    """Invariant 7: the money was taken, and is not taken again."""
    broker = Broker(inbox)
    broker.away = True
    assert broker.command("c1", PAYMENT) == AGAIN
    broker.away = False
    assert broker.command("c1", PAYMENT, deliveries=2) == TAKEN
    assert [answer.name for answer in broker.sent] == ["PaymentCaptured"]
    assert operations(inbox.payments) == [("capture", "tok_visa", 100)]


def test_a_command_is_asked_for_again_as_often_as_the_bank_is_silent(inbox: PaymentsInbox) -> None:
    broker = Broker(inbox)
    broker.command("c1", ProcessPayment(order_id="o1", card_token=SLOW_REFUND_CARD, amount_cents=100))
    undo = RefundPayment(order_id="o1", undoes="c1")
    receipts = [broker.command("c1:undo", undo) for _ in range(SLOW_REFUND_TRIES + 1)]
    assert receipts == [AGAIN] * SLOW_REFUND_TRIES + [TAKEN]
    assert [answer.name for answer in broker.sent] == ["PaymentCaptured", "CaptureRefunded"]


def test_an_answer_that_the_broker_refuses_is_told(inbox: PaymentsInbox, caplog: pytest.LogCaptureFixture) -> None:
    broker = Broker(inbox)
    broker.refuses = "too large"
    assert broker.command("c1", PAYMENT) == TAKEN
    assert "the answer to c1 is not sent: too large" in caplog.text


@pytest.mark.parametrize(
    ("attributes", "body", "told"),
    [
        ({"specversion": "9"}, None, "dropped what is no message"),
        ({}, b"{", "dropped what is no message"),
        ({}, b"{}", "which is no command of ours"),
        ({"type": "DigAHole"}, None, "which is no command of ours"),
        ({"type": "RefundPayment"}, b'{"order_id": "o1", "undoes": ""}', "which is no command of ours"),
    ],
)
def test_what_is_no_command_is_told_and_blocks_nothing(
    inbox: PaymentsInbox, caplog: pytest.LogCaptureFixture, attributes: dict[str, str], body: bytes | None, told: str
) -> None:
    broker = Broker(inbox)
    fine = wire("c1", PAYMENT)
    wrong = Incoming(attributes={**fine.attributes, **attributes}, body=fine.body if body is None else body)
    assert broker.deliver(wrong) == TAKEN
    assert told in caplog.text
    assert operations(inbox.payments) == []
    assert broker.command("c2", PAYMENT) == TAKEN


def test_what_nobody_foresaw_is_tried_so_often_and_then_told(
    inbox: PaymentsInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Envelope) -> list[Envelope]:
        raise ZeroDivisionError

    monkeypatch.setattr(inbox, "handle", fail)
    broker = Broker(inbox)
    receipts = [broker.command("c1", PAYMENT, deliveries=number) for number in range(1, MOST_DELIVERIES + 1)]
    assert receipts == [AGAIN] * (MOST_DELIVERIES - 1) + [TAKEN]


def test_a_database_that_is_locked_is_waited_for(inbox: PaymentsInbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Envelope) -> list[Envelope]:
        raise sqlite3.OperationalError("database is locked")

    broker = Broker(inbox)
    with monkeypatch.context() as patch:
        patch.setattr(inbox, "handle", fail)
        assert broker.command("c1", PAYMENT, deliveries=MOST_DELIVERIES) == AGAIN
    assert broker.command("c1", PAYMENT) == TAKEN
