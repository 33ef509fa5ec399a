"""The payments desk with a database of its own: effect, inbox and answer are one, whatever is delivered how often."""

from collections.abc import Iterator

import msgspec
import pytest
from msgspec import Raw
from sagas.shop import operations

from domain.database import IN_MEMORY, Database
from domain.payments.inbox import PaymentsInbox
from domain.payments.messages import ProcessPayment, RefundPayment
from domain.payments.service import CLOSED_ACCOUNT_CARD, SLOW_REFUND_CARD, SLOW_REFUND_TRIES, BankUnavailable
from sagalog.codec import encode_json
from sagalog.errors import InvalidInput
from sagalog.messages import Command, Envelope, name_of

COMMAND = "s1:process_payment"
UNDO = f"{COMMAND}:undo"


@pytest.fixture
def inbox() -> Iterator[PaymentsInbox]:
    with Database(IN_MEMORY) as database:
        yield PaymentsInbox(database)


def message(message_id: str, command: Command) -> Envelope:
    return Envelope(
        id=message_id,
        kind="command",
        name=name_of(type(command)),
        source="sagalog:orders/saga:order-fulfilment-remote",
        correlation_id="s1",
        causation_id="s1",
        time=1,
        data=Raw(encode_json(command)),
        saga_id="s1",
        step="process_payment",
    )


def payment(card_token: str = "tok_visa") -> Envelope:
    return message(COMMAND, ProcessPayment(order_id="o1", card_token=card_token, amount_cents=100))


def refund(message_id: str = UNDO) -> Envelope:
    return message(message_id, RefundPayment(order_id="o1", undoes=COMMAND))


def names(answers: list[Envelope]) -> list[str]:
    return [answer.name for answer in answers]


def test_a_command_has_one_effect_and_the_same_answer_however_often_it_comes(inbox: PaymentsInbox) -> None:
    """Invariant 7: the answer's id is the same too, so that whoever gets it twice knows it."""
    [first] = inbox.handle(payment())
    assert (first.name, first.causation_id, first.correlation_id) == ("PaymentCaptured", COMMAND, "s1")
    for _ in range(2):
        assert inbox.handle(payment()) == [first]
    assert operations(inbox.payments) == [("capture", "tok_visa", 100)]


def test_the_money_is_given_back_once(inbox: PaymentsInbox) -> None:
    """Invariant 23."""
    inbox.handle(payment())
    for message_id in (UNDO, UNDO, f"{UNDO}:2"):
        assert names(inbox.handle(refund(message_id))) == ["CaptureRefunded"]
    assert operations(inbox.payments)[1:] == [("refund", "tok_visa", -100)]


def test_a_refund_that_comes_first_leaves_a_tombstone(inbox: PaymentsInbox) -> None:
    """Invariants 21 and 22: the command that comes after it is refused, and moves nothing."""
    assert names(inbox.handle(refund())) == ["CaptureRefunded"]
    assert names(inbox.handle(payment())) == ["CommandRefused"]
    assert operations(inbox.payments) == []


def test_a_declined_card_is_answered_with_a_refusal(inbox: PaymentsInbox) -> None:
    assert names(inbox.handle(payment("tok_declined"))) == ["PaymentRejected"]
    assert operations(inbox.payments) == []


def test_a_refund_to_a_closed_account_is_refused_until_a_person_has_opened_it(inbox: PaymentsInbox) -> None:
    inbox.handle(payment(CLOSED_ACCOUNT_CARD))
    assert names(inbox.handle(refund())) == ["CommandRefused"]
    inbox.payments.reopen_account("o1")
    assert names(inbox.handle(refund(f"{UNDO}:2"))) == ["CaptureRefunded"]
    assert inbox.payments.balance_cents() == 0


def test_a_bank_that_does_not_answer_is_asked_again(inbox: PaymentsInbox) -> None:
    inbox.handle(payment(SLOW_REFUND_CARD))
    for _ in range(SLOW_REFUND_TRIES):
        with pytest.raises(BankUnavailable):
            inbox.handle(refund())
    assert names(inbox.handle(refund())) == ["CaptureRefunded"]


def test_an_effect_and_its_inbox_row_are_one_transaction(inbox: PaymentsInbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 5: a crash between the two leaves neither, so the command is new when it comes again."""
    record = inbox.payments._record  # pyright: ignore[reportPrivateUsage]

    def record_and_die(*args: object, **named: object) -> None:
        record(*args, **named)  # type: ignore[arg-type]
        raise RuntimeError("the process dies")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(inbox.payments, "_record", record_and_die)
        inbox.handle(payment())
    assert operations(inbox.payments) == []
    assert names(inbox.handle(payment())) == ["PaymentCaptured"]


def test_what_is_no_command_of_the_desk_is_refused(inbox: PaymentsInbox) -> None:
    class DigAHole(Command):
        deep: int

    with pytest.raises(KeyError):
        inbox.handle(message("c1", DigAHole(deep=2)))
    with pytest.raises(InvalidInput):
        inbox.handle(msgspec.structs.replace(payment(), data=Raw(b'{"order_id": 7}')))
    assert operations(inbox.payments) == []
