"""Mail for sagas that cannot be run here, or that is a lot: it waits, and nobody turns in circles meanwhile."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from lab.lab import Lab, Process, in_lab
from msgspec.structs import replace
from sagas.message_shop import Packed, PaymentTaken, Shop, end_of, message, placed, row_of, types_of

from sagalog.engine.sagas import inbox
from sagalog.messages import Envelope
from sagalog.store import InboxRow, StoredEvent
from sagalog.stores.memory.store import MemoryStore


class Watched(MemoryStore):
    """A store that counts how often it is asked for sagas and for mail, and can spoil what it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()
        self.given = 0
        self.spoiled: set[str] = set()

    def claim(self, worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()) -> Any:
        self.asked["claim"] += 1
        return super().claim(worker_id, definitions, now, limit, but)

    def mail(self, worker_id: str, limit: int, but: Sequence[str] = ()) -> list[tuple[InboxRow, Envelope]]:
        self.asked["mail"] += 1
        found = super().mail(worker_id, limit, but)
        self.given += len(found)
        return found

    def read_many(self, saga_ids: Sequence[str]) -> dict[str, list[StoredEvent]]:
        self.asked["read"] += 1
        found = super().read_many(saga_ids)
        for saga_id in self.spoiled & found.keys():
            found[saga_id] = [replace(event, topic="nobody.knows.1") for event in found[saga_id]]
        return found


async def waiting_for_payment(lab: Lab, process: Process, store: MemoryStore) -> str:
    """Start a saga that has asked for a payment, and return its id."""
    await placed(process, "o1")
    await lab.until(lambda: len(store.read_messages(0, 10)) == 2)
    return row_of(store, "o1").saga_id


def test_mail_for_a_saga_whose_definition_is_not_loaded_waits_for_a_process_that_has_it() -> None:
    """Invariants 36 and 41."""
    store = Watched()

    async def story(lab: Lab) -> None:
        old, new = Shop(timeout=3000), Shop(timeout=3000, version=2)
        first = await lab.begin([old.saga])
        saga_id = await waiting_for_payment(lab, first, store)
        await first.stop()
        second = await lab.begin([new.saga])
        paid = message(PaymentTaken(order_id="o1", payment="p"), causation_id=f"{saga_id}:take_payment")
        await second.do(second.manager.handle(paid))
        await lab.until(lambda: bool(store.inbox(saga_id, lab.world.now(), 1)))
        store.asked.clear()
        await lab.sleep(50)
        assert store.asked["claim"] <= 110
        assert store.asked["read"] == 0
        assert row_of(store, "o1").owner is None
        third = await old.begin(lab)
        assert await end_of(lab, third, "o1") == "completed"

    in_lab(store, story)


def test_a_saga_whose_history_cannot_be_read_keeps_its_mail_and_is_not_tried_again_and_again() -> None:
    """Invariants 36 and 40: nothing is appended to it, and the sagas beside it go on."""
    store = Watched()

    async def story(lab: Lab) -> None:
        shop = Shop(timeout=3000)
        first = await lab.begin([shop.saga])
        saga_id = await waiting_for_payment(lab, first, store)
        await first.stop()
        store.spoiled.add(saga_id)
        second = await shop.begin(lab)
        paid = message(PaymentTaken(order_id="o1", payment="p"), causation_id=f"{saga_id}:take_payment")
        store.asked.clear()
        await second.do(second.manager.handle(paid))
        await lab.sleep(50)
        assert store.asked["claim"] <= 110
        assert store.asked["mail"] <= 110
        # At once, and after 1, 2, 4, 8, 16 and 32 seconds; in between it is left to others, who may be able to read it.
        assert 6 <= store.asked["read"] <= 7
        assert row_of(store, "o1").owner is None
        await placed(second, "o2")
        assert await end_of(lab, second, "o2") == "completed"
        assert len(store.inbox(saga_id, lab.world.now(), 5)) == 1

    in_lab(store, story)


def test_many_messages_for_one_saga_are_not_read_again_with_each_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times the messages take ten times as many rows, and all of them are taken in the order in which they came."""
    monkeypatch.setattr(inbox, "FULL", 20)
    store, number = Watched(), 400

    async def story(lab: Lab) -> None:
        shop = Shop(timeout=3000, waits=True)
        shop.slow.add("o1")
        process = await shop.begin(lab)
        saga_id = await waiting_for_payment(lab, process, store)
        events = [message(Packed(order_id="o1"), id=f"packed-{n:03d}") for n in range(number)]
        await asyncio.gather(*(process.do(process.manager.handle(one)) for one in events))
        # A second saga gets its mail meanwhile.
        await placed(process, "o2")
        await process.do(process.manager.handle(message(Packed(order_id="o2"), id="packed for o2")))
        assert await end_of(lab, process, "o2") == "completed"
        await lab.until(lambda: not store.inbox(saga_id, lab.world.now(), 1))
        shop.answers.set()
        assert await end_of(lab, process, "o1") == "completed"
        assert types_of(store, saga_id).count("EventReceived") >= number

    in_lab(store, story)
    assert store.given < 4 * number
