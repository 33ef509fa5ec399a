"""Whatever a broker delivers is taken, parked, or asked for again with a bound; nothing is dropped, nothing raises."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from sagalog.clock import SystemClock
from sagalog.engine.transports.receiving import MOST_DELIVERIES, PAUSES, STORE_PAUSE, Receiving
from sagalog.errors import InvalidInput, StoreError, StoreUnavailable
from sagalog.messages import Envelope
from sagalog.store import UnmatchedRow
from sagalog.transport import Incoming, Receipt

ATTRIBUTES = {"specversion": "1.0", "type": "Ordered", "source": "urn:x", "id": "1"}


class Panic(BaseException):
    """What a native extension raises: no `Exception`."""


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Inbox:
    """Receive by hand, with a log and a place for what is parked that do as they are told."""

    def __init__(self, problem: BaseException | None = None) -> None:
        self.problem = problem
        self.handled: list[str] = []
        self.parked: list[UnmatchedRow] = []
        self.refuses: Callable[[UnmatchedRow], bool] = lambda row: False
        self.refusal: Exception = StoreError("an index row of 4,048 bytes")
        self.receiving = Receiving("wire", self.handle, self.park, SystemClock())

    async def handle(self, envelope: Envelope) -> bool:
        if self.problem is not None:
            raise self.problem
        self.handled.append(envelope.id)
        return True

    async def park(self, row: UnmatchedRow) -> None:
        if self.refuses(row):
            raise self.refusal
        self.parked.append(row)

    def deliver(self, deliveries: int = 1, **attributes: Any) -> Receipt:
        """Deliver a message; the broker says for the how-many-eth time."""
        return self.deliver_body(b"{}", deliveries, **attributes)

    def deliver_body(self, body: bytes, deliveries: int = 1, **attributes: Any) -> Receipt:
        incoming = Incoming(attributes=ATTRIBUTES | attributes, body=body, deliveries=deliveries)

        async def receive() -> Receipt:
            return await self.receiving(incoming)

        return asyncio.run(receive())


@pytest.mark.parametrize(
    "problem",
    [
        ValueError("a bug"),
        StoreError("refused"),
        Panic("in Rust"),
        Speechless(),
        asyncio.CancelledError(),
        SystemExit(1),
    ],
    ids=lambda problem: type(problem).__name__,
)
@pytest.mark.parametrize("counts", [True, False], ids=["a broker that counts", "a broker that counts nothing"])
def test_what_fails_is_asked_for_again_a_bounded_number_of_times_and_then_parked(
    problem: BaseException, counts: bool
) -> None:
    inbox = Inbox(problem)
    receipts = [inbox.deliver(number + 1 if counts else 1) for number in range(MOST_DELIVERIES)]
    assert [receipt.taken for receipt in receipts] == [*[False] * (MOST_DELIVERIES - 1), True]
    assert [receipt.pause for receipt in receipts[:-1]] == [0.2, 0.4, 0.8, 1.6]
    [row] = inbox.parked
    assert type(problem).__name__ in row.reason


def test_an_outage_of_the_store_is_no_failure_of_the_message_that_fails_once_after_it() -> None:
    """A passing error parks no good message, however often the broker delivered it while the store was away."""
    inbox = Inbox(StoreUnavailable("away"))
    assert [inbox.deliver(number) for number in range(1, 9)] == [Receipt(False, STORE_PAUSE)] * 8
    inbox.problem = ValueError("once")
    assert inbox.deliver(9) == Receipt(False, 0.2)
    inbox.problem = None
    assert inbox.deliver(10).taken
    assert (inbox.handled, inbox.parked) == (["urn:x#1"], [])


def test_failures_of_one_message_are_not_those_of_another() -> None:
    inbox = Inbox(ValueError("a bug"))
    for number in range(MOST_DELIVERIES - 1):
        assert not inbox.deliver(id=f"a-{number}").taken
        assert not inbox.deliver(id="b").taken
    inbox.problem = None
    assert inbox.deliver(id="b").taken
    inbox.problem = ValueError("again")
    assert inbox.deliver(id="b") == Receipt(False, 0.2)


def test_a_message_whose_row_the_store_refuses_is_parked_by_its_bytes() -> None:
    """An id may be too long for an index; what came is kept all the same, for a person."""
    inbox = Inbox(InvalidInput("wrong"))
    inbox.refuses = lambda row: row.kind == "event"
    assert inbox.deliver_body('{"order":"é"}'.encode()).taken
    [row] = inbox.parked
    assert (row.consumer, row.kind) == ("door", "unreadable")
    assert row.reason == "wrong; the store refuses it as a message: an index row of 4,048 bytes"
    assert '{"order":"é"}' in row.message


def test_text_that_the_store_cannot_hold_is_parked_as_ascii() -> None:
    inbox = Inbox()
    inbox.refuses = lambda row: not (row.message + row.reason).isascii()
    assert inbox.deliver_body("{é".encode()).taken
    [row] = inbox.parked
    assert row.message.endswith("\n{\\xc3\\xa9")


def test_what_can_be_neither_taken_nor_parked_stays_with_the_broker_and_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    inbox = Inbox(InvalidInput("wrong"))
    inbox.refuses = lambda row: True
    with caplog.at_level(logging.WARNING, "sagalog.engine"):
        assert inbox.deliver() == Receipt(False, PAUSES.longest)
        assert inbox.deliver_body(b"{") == Receipt(False, PAUSES.longest)
    assert [record.message for record in caplog.records] == [
        "a message from wire could be neither taken nor parked"
    ] * 2
    inbox.refusal = StoreUnavailable("away")
    assert inbox.deliver() == Receipt(False, STORE_PAUSE)


def test_two_bodies_that_are_no_text_are_parked_as_two_with_their_bytes_shown() -> None:
    inbox = Inbox()
    for body in (b'{"a":"\xff"}', b'{"a":"\xfe"}', b'{"a":"\xff"}', b"\x00\x1b[2J"):
        assert inbox.deliver_body(body).taken
    ids = [row.message_id for row in inbox.parked]
    assert ids[0] == ids[2]
    assert len(set(ids)) == 3
    assert [row.message.splitlines()[-1] for row in inbox.parked[:2]] == ['{"a":"\\xff"}', '{"a":"\\xfe"}']
    assert "\x00" not in inbox.parked[3].message


def test_a_delivery_that_is_broken_off_by_the_end_of_the_process_is_neither_taken_nor_parked() -> None:
    inbox = Inbox()

    async def never(envelope: Envelope) -> bool:
        await asyncio.get_running_loop().create_future()
        return True

    async def test() -> None:
        receiving = Receiving("wire", never, inbox.park, SystemClock())
        incoming = Incoming(attributes=ATTRIBUTES, body=b"{}")
        task = asyncio.ensure_future(receiving(incoming))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(test())
    assert inbox.parked == []
