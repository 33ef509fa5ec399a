"""The participant kit on whatever connection a service has: its settings, its row factory, its driver, its `await`."""

import asyncio
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import psycopg.rows
import pytest
from msgspec.structs import replace
from sagas.bank import (
    SQL,
    Bank,
    Connect,
    NothingToRefund,
    PaymentProcessed,
    PaymentRefunded,
    pay_command,
    refund_command,
)

from sagalog import Refused
from sagalog.errors import InvalidAction
from sagalog.participant_kit import ParticipantKit
from sagalog.participant_kit.turn import delivered
from sagalog.testing import FakeClock


def counted(bank: Bank, order: str) -> int:
    found = bank.entries(order)
    return found[1] - found[-1]


# ---------------------------------------------------------------------------------------------- connections


@pytest.mark.parametrize("settings", [{"isolation_level": None}, {"isolation_level": "DEFERRED"}])
def test_any_sqlite_connection_will_do(tmp_path: Path, settings: dict[str, Any]) -> None:
    connection = sqlite3.connect(tmp_path / "bank.db", **settings)
    connection.row_factory = lambda cursor, row: {
        name[0]: value for name, value in zip(cursor.description, row, strict=True)
    }
    connection.text_factory = bytes
    bank = Bank(connection, ParticipantKit("bank"))
    bank.create()
    first = bank.pay(pay_command("o-1"))
    assert not connection.in_transaction
    assert bank.pay(pay_command("o-1")) == first
    connection.row_factory = None
    assert counted(bank, "o-1") == 1
    connection.close()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has autocommit since Python 3.12")
@pytest.mark.parametrize("autocommit", [True, False])
def test_a_sqlite_connection_with_the_newer_transactions_will_do(tmp_path: Path, autocommit: bool) -> None:
    settings: dict[str, Any] = {"autocommit": autocommit}
    connection = sqlite3.connect(tmp_path / "bank.db", **settings)
    bank = Bank(connection, ParticipantKit("bank"))
    bank.create()
    first = bank.pay(pay_command("o-1"))
    connection.commit()
    assert bank.pay(pay_command("o-1")) == first
    assert counted(bank, "o-1") == 1
    connection.close()


@pytest.mark.postgres
@pytest.mark.parametrize("autocommit", [True, False])
def test_any_postgres_connection_will_do(postgres_url: str, autocommit: bool) -> None:
    settings: dict[str, Any] = {"autocommit": autocommit, "row_factory": psycopg.rows.dict_row}
    with psycopg.connect(postgres_url, **settings) as connection:
        bank = Bank(connection, ParticipantKit("bank"))
        bank.create()
        first = bank.pay(pay_command("o-1"))
        assert connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
        assert bank.pay(pay_command("o-1")) == first


def test_the_kit_loads_no_driver() -> None:
    question = (
        "import sys, sagalog.participant_kit as kit; "
        "unwanted = ('sqlite3', 'psycopg', 'sqlalchemy', 'eventsourcing', 'asyncio'); "
        "print([name for name in unwanted if name in sys.modules])"
    )
    asked = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=False)
    assert asked.stdout.strip() == "[]", asked.stdout + asked.stderr


# ---------------------------------------------------------------------------------------------- awaiting


@pytest.mark.postgres
def test_an_asynchronous_connection_has_the_same_inbox(postgres_url: str) -> None:
    """Invariants 7, 21, 22 and 23."""

    async def story() -> list[list[str]]:
        kit = ParticipantKit("bank")
        connect = psycopg.AsyncConnection.connect
        async with await connect(postgres_url) as one, await connect(postgres_url) as other:
            await kit.create_async(one)
            await one.execute(SQL["create"].encode())
            await one.commit()

            async def pay(connection: Any, order: str, refused: bool = False) -> list[str]:
                async def do() -> PaymentProcessed:
                    await connection.execute(SQL["pay_postgres"].encode(), {"order_id": order})
                    await asyncio.sleep(0)
                    if refused:
                        raise Refused("the account is closed")
                    return PaymentProcessed(order_id=order)

                return [answer.name for answer in await kit.handle_async(connection, pay_command(order), do)]

            async def refund(connection: Any, order: str) -> list[str]:
                async def do() -> PaymentRefunded:
                    await connection.execute(SQL["refund_postgres"].encode(), {"order_id": order})
                    return PaymentRefunded(order_id=order)

                def none() -> NothingToRefund:
                    return NothingToRefund(order_id=order)

                message = refund_command(order)
                answers = await kit.handle_async(connection, message, do, nothing_to_undo=none)
                return [answer.name for answer in answers]

            racing = await asyncio.gather(pay(one, "o-1"), pay(other, "o-1"))
            said = [*racing, await refund(one, "o-1"), await refund(other, "o-2"), await pay(one, "o-2")]
            said += [await pay(one, "o-3", refused=True), await pay(other, "o-3")]
            cursor = await one.execute(SQL["entries"].encode())
            assert sorted(await cursor.fetchall()) == [("o-1", -1), ("o-1", 1)]
            return said

    paid, refunded, refused = ["PaymentProcessed"], ["PaymentRefunded"], ["CommandRefused"]
    assert asyncio.run(story()) == [paid, paid, refunded, ["NothingToRefund"], refused, refused, refused]


def test_a_connection_that_blocks_is_not_awaited_nor_the_other_way_round() -> None:
    class Awaited:
        pgconn = None

        async def execute(self) -> None: ...

    kit: Any = ParticipantKit("bank")
    with pytest.raises(TypeError, match="use the methods with _async"):
        kit.create(Awaited())
    connection = sqlite3.connect(":memory:")
    with pytest.raises(TypeError, match=r"found sqlite3\.Connection: .* use the methods without _async"):
        asyncio.run(kit.create_async(connection))
    connection.close()


# ---------------------------------------------------------------------------------------------- without an envelope


def test_a_command_without_an_envelope_takes_its_turn(each_bank: Connect) -> None:
    """Invariants 7, 21, 22 and 23."""
    bank = each_bank()

    def pay(command_id: str) -> list[str]:
        with bank.kit.once(bank.connection, command_id) as turn:
            if turn.is_new:
                bank.write("pay", "o-1")
                turn.answer(PaymentProcessed(order_id="o-1"))
        return [answer.name for answer in turn.answers]

    def refund(command_id: str, undoes: str) -> list[str]:
        with bank.kit.once(bank.connection, command_id, undoes=undoes, correlation_id="o-1") as turn:
            if turn.is_new:
                assert [answer.name for answer in turn.undone] == ["PaymentProcessed"]
                bank.write("refund", "o-1")
        return [answer.name for answer in turn.answers]

    assert pay("p-1") == pay("p-1") == ["PaymentProcessed"]
    assert refund("r-1", "p-1") == refund("r-1", "p-1") == ["CommandDone"]
    assert refund("r-2", "p-2") == ["CommandDone"]
    assert pay("p-2") == ["CommandRefused"]
    assert sorted(bank.entries().elements()) == [-1, 1]


def test_an_answer_to_what_was_answered_before_is_a_mistake(each_bank: Connect) -> None:
    bank = each_bank()
    bank.pay(pay_command("o-1"))
    with (
        pytest.raises(InvalidAction, match="has been answered before"),
        bank.kit.once(bank.connection, "o-1:pay") as turn,
    ):
        turn.answer(PaymentProcessed(order_id="o-1"))


def test_an_event_is_taken_once_and_nobody_can_refuse_it(each_bank: Connect) -> None:
    """Invariant 7."""
    bank = each_bank()
    event = replace(pay_command("o-1"), id="e-1", kind="event", name="OrderCreated", saga_id=None, step=None)

    def refuse() -> None:
        bank.write("pay", "o-1")
        raise Refused("not today")

    with pytest.raises(Refused):
        bank.kit.handle(bank.connection, event, refuse)
    assert bank.rows("inbox") == []
    for _ in range(2):
        assert bank.kit.handle(bank.connection, event, lambda: bank.write("pay", "o-1")) == []
    assert counted(bank, "o-1") == 1


# ---------------------------------------------------------------------------------------------- ids and rows


def test_which_action_a_command_is_about_is_known_by_its_id() -> None:
    """Invariant 6: the commands of one step of a saga are about one action, in whichever round."""
    pay, refund = pay_command("o-1"), refund_command("o-1")
    plain = replace(pay, saga_id=None, step=None)
    about = [
        delivered(one, None)
        for one in (pay, pay_command("o-1", 2), refund, refund_command("o-1", 3), plain, replace(pay, step="payment"))
    ]
    assert [(one.action, one.undoes) for one in about] == [
        ("o-1:pay", False),
        ("o-1:pay", False),
        ("o-1:pay", True),
        ("o-1:pay", True),
        ("o-1:pay", False),
        ("o-1:pay", False),
    ]
    odd = replace(pay, id="o-1:pay_more:undo")
    assert (delivered(odd, None).action, delivered(odd, None).undoes) == ("o-1:pay_more:undo", False)
    assert (delivered(odd, "p-7").action, delivered(odd, "p-7").undoes) == ("p-7", True)


def test_participants_share_a_database_without_sharing_rows(each_bank: Connect) -> None:
    bank = each_bank()
    bank.pay(pay_command("o-1"))
    bank.kit = ParticipantKit("another bank")
    bank.pay(pay_command("o-1"))
    assert counted(bank, "o-1") == 2


def test_what_nobody_asked_for_in_a_long_time_is_forgotten_and_nothing_else(each_bank: Connect) -> None:
    """Invariant 7: a row counts from the last delivery, and rows of others are theirs to forget."""
    clock = FakeClock()
    bank = each_bank()
    bank.kit = ParticipantKit("bank", clock=clock)
    other = ParticipantKit("another bank", clock=clock)
    bank.pay(pay_command("o-1"))
    bank.pay(pay_command("o-2"))
    other.handle(bank.connection, pay_command("o-1"), lambda: None)
    clock.advance(80)
    bank.pay(pay_command("o-2"))
    clock.advance(30)
    assert bank.kit.forget(bank.connection, older_than=timedelta(seconds=100)) == 1
    assert bank.kit.forget(bank.connection, older_than=timedelta(seconds=100)) == 0
    assert [row[0] for row in bank.rows("inbox")] == ["o-1:pay", "o-2:pay"]


def test_the_table_is_the_same_in_both_databases(each_bank: Connect) -> None:
    bank = each_bank()
    assert [name for (name,) in bank.rows(f"columns_{bank.dialect}")] == [
        "participant", "action", "status", "deliveries",
        "command_id", "answers", "undo_id", "undo_answers", "first_at", "last_at",
    ]  # fmt: skip
