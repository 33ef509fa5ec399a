"""The shop runs in one process, or with a broker in two: between them nothing is said that the other does not hear."""

import os
import subprocess
import sys

import pytest
from msgspec import Raw
from pages.command_line import ROOT

import domain
from domain.broker import ANSWERS, COMMANDS, transport_of_orders, transport_of_payments
from domain.fulfilment_remote import fulfil_order_remotely
from domain.inventory.messages import InventoryReserved
from domain.payments.commands import payments_desk
from sagalog.messages import Command, CommandRefused, Envelope, Message, name_of

BROKER = "nats://127.0.0.1:4222"


def envelope(kind: type[Message]) -> Envelope:
    return Envelope(
        id="m1",
        kind="command" if issubclass(kind, Command) else "event",
        name=name_of(kind),
        source="test",
        correlation_id="m1",
        time=1,
        data=Raw(b"{}"),
    )


def test_without_a_broker_the_desk_answers_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_BROKER", raising=False)
    assert payments_desk in domain.participants
    assert domain.transports() == []


def test_with_a_broker_the_desk_is_left_to_the_other_process() -> None:
    question = "import domain; print([one.name for one in domain.participants], domain.transports())"
    asked = subprocess.run(
        [sys.executable, "-c", question],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "SHOP_BROKER": BROKER},
    )
    assert asked.stdout == "['inventory', 'payments', 'shipping'] [<FastStreamTransport nats of orders>]\n"


def test_each_process_sends_what_the_other_one_takes_and_nothing_else() -> None:
    orders, payments = transport_of_orders(BROKER), transport_of_payments(BROKER)
    for command in COMMANDS:
        assert orders.carries(envelope(command))
        assert not payments.carries(envelope(command))
    for answer in ANSWERS:
        assert payments.carries(envelope(answer))
        assert not orders.carries(envelope(answer))
    assert not orders.carries(envelope(InventoryReserved))


def test_every_command_of_the_saga_and_every_answer_to_it_goes_over_the_broker() -> None:
    """A command that is not carried would wait for an answer that never comes."""
    step = fulfil_order_remotely.definition.step("process_payment")
    assert set(payments_desk.definition.handlers) == {name_of(kind) for kind in COMMANDS}
    answers = {
        name_of(kind)
        for handlers in payments_desk.definition.handlers.values()
        for handler in handlers
        for kind in handler.outputs
    }
    assert answers | {name_of(CommandRefused)} == {name_of(kind) for kind in ANSWERS}
    assert step.kind == "request"
