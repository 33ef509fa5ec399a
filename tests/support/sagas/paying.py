"""What tests of participants declare with: a few messages, a service, and how to read the mistakes that are told."""

from typing import Any

import pytest

from sagalog import Command, Event, Participant
from sagalog.errors import DefinitionError


class ProcessPayment(Command):
    order_id: str


class RefundPayment(Command):
    order_id: str


class OrderCreated(Event):
    order_id: str


class OrderCancelled(Event):
    order_id: str


class PaymentProcessed(Event):
    order_id: str


class PaymentRejected(Event):
    order_id: str


class Bank:
    pass


def payments(**options: Any) -> Participant:
    return Participant("payments", **options)


def mistakes(participant: Participant) -> list[str]:
    """Return the mistakes that building the participant tells."""
    with pytest.raises(DefinitionError) as caught:
        _ = participant.definition
    first, *listed = str(caught.value).splitlines()
    assert first == f"participant {participant.name!r} is declared wrongly:"
    return [line.removeprefix("  - ") for line in listed]


def only(participant: Participant, *parts: str) -> None:
    """Expect exactly one mistake whose text has all of these parts."""
    found = mistakes(participant)
    assert len(found) == 1, found
    for part in parts:
        assert part in found[0]
