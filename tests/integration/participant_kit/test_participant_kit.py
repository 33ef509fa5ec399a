"""A service that keeps its own database: one effect for a command however often it comes, on SQLite and PostgreSQL."""

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable

import psycopg
import pytest
from sagas.bank import Bank, Connect, ProcessPayment, command, fail, pay_command, refund_command, refuse

from sagalog import Refused
from sagalog.errors import InvalidAction, InvalidIdentifier
from sagalog.messages import CommandRefused, Envelope

PAID = Counter({1: 1})
PAID_BACK = Counter({1: 1, -1: 1})
NOTHING: Counter[int] = Counter()


def names(answers: list[Envelope]) -> list[str]:
    return [answer.name for answer in answers]


def test_a_repeated_command_has_one_effect_and_the_same_answer(each_bank: Connect) -> None:
    """Invariants 6 and 7."""
    bank = each_bank()
    first = bank.pay(pay_command("o-1"))
    assert [bank.pay(pay_command("o-1")) for _ in range(3)] == [first] * 3
    (answer,) = first
    assert (answer.name, answer.kind, answer.source) == ("PaymentProcessed", "event", "bank")
    assert (answer.causation_id, answer.correlation_id) == ("o-1:pay", "o-1")
    assert bytes(answer.data) == b'{"order_id":"o-1"}'
    assert bank.entries() == PAID
    assert bank.rows("inbox") == [("o-1:pay", "done", 4, "o-1:pay", None)]


def test_a_compensation_undoes_once_however_often_and_from_whichever_round_it_comes(each_bank: Connect) -> None:
    """Invariant 23: a late success is undone by a command of another round, which finds it undone."""
    bank = each_bank()
    bank.pay(pay_command("o-1"))
    first = bank.refund(refund_command("o-1"))
    assert bank.refund(refund_command("o-1")) == first
    (second,) = bank.refund(refund_command("o-1", 2))
    assert second.name == first[0].name == "PaymentRefunded"
    assert second.id != first[0].id, "the saga takes an answer by the command that it answers"
    assert second.causation_id == "o-1:pay:undo:2"
    assert bank.entries() == PAID_BACK
    assert bank.status("o-1") == "undone"


def test_a_compensation_that_comes_first_is_remembered_and_does_nothing(each_bank: Connect) -> None:
    """Invariant 21."""
    bank = each_bank()
    first = bank.refund(refund_command("o-1"))
    assert names(first) == ["NothingToRefund"]
    assert bank.refund(refund_command("o-1")) == first
    assert names(bank.refund(refund_command("o-1", 2))) == ["NothingToRefund"]
    assert bank.entries() == NOTHING
    assert bank.status("o-1") == "called_off"


@pytest.mark.parametrize("number", [1, 2])
def test_a_command_that_comes_after_its_compensation_is_refused(each_bank: Connect, number: int) -> None:
    """Invariant 22: whichever round of the step it belongs to, and however often it comes."""
    bank = each_bank()
    bank.refund(refund_command("o-1"))
    first = bank.pay(pay_command("o-1", number))
    for _ in range(2):
        assert bank.pay(pay_command("o-1", number)) == first
        (answer,) = first
        assert answer.name == "CommandRefused"
        assert "o-1:pay has been undone" in bytes(answer.data).decode()
        assert answer.causation_id == pay_command("o-1", number).id
    assert bank.entries() == NOTHING
    assert bank.status("o-1") == "called_off"


def test_a_command_of_a_later_round_is_refused_once_the_effect_was_undone(each_bank: Connect) -> None:
    """Invariant 22; what had been done and answered is answered the same to whom it was answered."""
    bank = each_bank()
    done = bank.pay(pay_command("o-1"))
    bank.refund(refund_command("o-1"))
    assert names(bank.pay(pay_command("o-1", 2))) == ["CommandRefused"]
    assert bank.pay(pay_command("o-1")) == done
    assert bank.entries() == PAID_BACK


def test_what_is_refused_leaves_nothing_but_the_refusal(each_bank: Connect) -> None:
    """Invariants 7 and 9: what it had written is undone, and asking again gives the same answer without trying."""
    bank = each_bank()
    first = bank.pay(pay_command("o-1"), refuse)
    assert names(first) == ["CommandRefused"]
    assert CommandRefused(reason="the account is closed").reason in bytes(first[0].data).decode()
    assert bank.pay(pay_command("o-1")) == first
    assert bank.entries() == NOTHING
    assert bank.status("o-1") == "refused"


def test_a_new_round_after_a_refusal_is_a_new_attempt(each_bank: Connect) -> None:
    bank = each_bank()
    bank.pay(pay_command("o-1"), refuse)
    assert names(bank.pay(pay_command("o-1", 2))) == ["PaymentProcessed"]
    assert names(bank.pay(pay_command("o-1", 3))) == ["PaymentProcessed"]
    assert bank.entries() == PAID


def test_a_refused_command_is_called_off_like_one_that_never_came(each_bank: Connect) -> None:
    """Invariants 21 and 22."""
    bank = each_bank()
    refused = bank.pay(pay_command("o-1"), refuse)
    assert names(bank.refund(refund_command("o-1"))) == ["NothingToRefund"]
    assert bank.pay(pay_command("o-1")) == refused
    assert names(bank.pay(pay_command("o-1", 2))) == ["CommandRefused"]
    assert bank.entries() == NOTHING


def test_a_refused_compensation_leaves_the_effect_and_can_be_asked_for_again(each_bank: Connect) -> None:
    bank = each_bank()
    bank.pay(pay_command("o-1"))
    refused = bank.refund(refund_command("o-1"), refuse)
    assert names(refused) == ["CommandRefused"]
    assert bank.refund(refund_command("o-1")) == refused
    assert (bank.entries(), bank.status("o-1")) == (PAID, "done")
    assert names(bank.refund(refund_command("o-1", 2))) == ["PaymentRefunded"]
    assert (bank.entries(), bank.status("o-1")) == (PAID_BACK, "undone")


def test_what_fails_leaves_nothing_and_is_done_when_it_is_delivered_again(each_bank: Connect) -> None:
    """Invariant 5."""
    bank = each_bank()
    with pytest.raises(ConnectionError):
        bank.pay(pay_command("o-1"), fail)
    assert (bank.entries(), bank.rows("inbox")) == (NOTHING, [])
    bank.pay(pay_command("o-1"))
    with pytest.raises(ConnectionError):
        bank.refund(refund_command("o-1"), fail)
    assert (bank.entries(), bank.status("o-1")) == (PAID, "done")
    assert names(bank.refund(refund_command("o-1"))) == ["PaymentRefunded"]


def test_it_becomes_part_of_a_transaction_that_is_open(each_bank: Connect) -> None:
    """Invariant 5: its owner commits or gives up all of it, also what was written before."""
    bank = each_bank()
    bank.write("pay", "another")
    assert names(bank.pay(pay_command("o-1"))) == ["PaymentProcessed"]
    with pytest.raises(ConnectionError):
        bank.pay(pay_command("o-2"), fail)
    bank.connection.rollback()
    assert (bank.entries(), bank.rows("inbox")) == (NOTHING, [])
    bank.write("pay", "another")
    bank.pay(pay_command("o-1"))
    with pytest.raises(ConnectionError):
        bank.pay(pay_command("o-2"), fail)
    bank.pay(pay_command("o-3"), refuse)
    bank.connection.commit()
    assert bank.entries() == Counter({1: 2})
    assert [row[1] for row in bank.rows("inbox")] == ["done", "refused"]


def test_nothing_is_guessed_once_the_transaction_was_committed_in_the_middle(each_bank: Connect) -> None:
    """Invariants 5 and 7: the row is half, and a delivery after it must not pay again."""
    bank = each_bank()
    with pytest.raises((sqlite3.Error, psycopg.Error)):
        bank.pay(pay_command("o-1"), bank.connection.commit)
    bank.connection.rollback()
    if bank.dialect == "postgres":
        # psycopg refuses the commit.
        assert (bank.entries(), bank.rows("inbox")) == (NOTHING, [])
        return
    with pytest.raises(InvalidAction, match="nobody knows whether o-1:pay was done"):
        bank.pay(pay_command("o-1"))
    assert bank.entries() == PAID


def test_racing_deliveries_have_one_effect_and_one_answer(each_bank: Connect) -> None:
    """Invariants 7 and 23: four threads deliver each command, each on a connection of its own."""
    orders = [f"o-{number}" for number in range(25)]
    answers = race([each_bank() for _ in range(4)], lambda bank: [bank.pay(pay_command(order)) for order in orders])
    assert answers.count(answers[0]) == 4
    assert names([answer for (answer,) in answers[0]]) == ["PaymentProcessed"] * 25
    bank = each_bank()
    assert bank.entries() == Counter({1: 25})
    answers = race([each_bank() for _ in range(4)], lambda bank: [bank.refund(refund_command(one)) for one in orders])
    assert answers.count(answers[0]) == 4
    assert bank.entries() == Counter({1: 25, -1: 25})


def test_a_command_that_races_its_compensation_is_undone_or_refused(each_bank: Connect) -> None:
    """Invariants 21 and 22."""
    orders = [f"o-{number}" for number in range(40)]
    paying, refunding = each_bank(), each_bank()

    def work(bank: Bank) -> list[list[Envelope]]:
        if bank is paying:
            return [bank.pay(pay_command(order)) for order in orders]
        return [bank.refund(refund_command(order)) for order in reversed(orders)]

    paid, refunded = race([paying, refunding], work)
    bank = each_bank()
    for order, (answer,), (undone,) in zip(orders, paid, reversed(refunded), strict=True):
        both = (answer.name, undone.name, bank.entries(order), bank.status(order))
        assert both in (
            ("PaymentProcessed", "PaymentRefunded", PAID_BACK, "undone"),
            ("CommandRefused", "NothingToRefund", NOTHING, "called_off"),
        )


def race(racers: list[Bank], work: Callable[[Bank], list[list[Envelope]]]) -> list[list[list[Envelope]]]:
    """Let every racer work in a thread of its own, begun at the same moment; return what each got."""
    start = threading.Barrier(len(racers))
    found: dict[int, list[list[Envelope]]] = {}

    def run(number: int) -> None:
        start.wait()
        found[number] = work(racers[number])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(racers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[number] for number in range(len(racers))]


def test_ids_are_checked_at_the_door(each_bank: Connect) -> None:
    """Invariant 8."""
    bank = each_bank()
    for wrong in ("", "a\0b", "x" * 501):
        with pytest.raises(InvalidIdentifier, match="the id of a message"):
            bank.pay(command(wrong, "o-1", ProcessPayment(order_id="o-1")))
    assert bank.rows("inbox") == []
    with pytest.raises(InvalidIdentifier), bank.kit.once(bank.connection, "c-1", undoes=""):
        raise Refused("never reached")
