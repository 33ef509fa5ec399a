"""How long one bad message holds up others on their way to a transport, and what is sent how often; in virtual time."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sagas.moody import ORDERED, Moody, ordered

from sagalog.engine.backoff import Pauses
from sagalog.engine.transports import handover
from sagalog.engine.transports.handover import LONGEST_SEND, Outcomes, hand_over
from sagalog.errors import TransportUnavailable
from sagalog.messages import Envelope
from sagalog.testing.broker import MemoryBroker, MemoryTransport
from sagalog.testing.simulation.virtual_loop import VirtualLoop, outside


def sent(broker: MemoryBroker) -> Counter[str]:
    """Return how often each message was sent."""
    return Counter(incoming.attributes["id"] for _, incoming in broker.kept)


def in_virtual_time(test: Callable[[], Any]) -> float:
    """Run a test in virtual time; returns how many seconds it took."""
    loop = VirtualLoop(random.Random(1))
    try:
        loop.run_until_complete(loop.create_task(test(), context=outside()))
        return loop.time()
    finally:
        loop.abandon()


def test_a_batch_of_nothing_but_bad_messages_is_settled_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "PAUSES", Pauses(0.1, 0.8))
    outcomes: Outcomes = {}
    bad = [(number, ordered(f"bad-{number}")) for number in range(200)]
    took = in_virtual_time(lambda: hand_over(Moody(MemoryBroker(), ValueError("no")), bad, outcomes))
    assert len(outcomes) == 200
    assert all(outcomes.values())
    assert 1 < took < 2


class Silent(MemoryTransport):
    async def send(self, envelopes: Sequence[Envelope]) -> list[str | None]:
        await asyncio.get_running_loop().create_future()
        return []


def test_a_transport_that_never_answers_counts_as_away() -> None:
    async def test() -> None:
        with pytest.raises(TransportUnavailable, match="memory: TimeoutError"):
            await hand_over(Silent(MemoryBroker(), "shop", ORDERED, set()), [(1, ordered("a"))], {})

    assert in_virtual_time(test) == pytest.approx(LONGEST_SEND)


def test_what_got_through_before_the_broker_went_away_is_not_handed_over_again() -> None:
    broker = MemoryBroker()

    class Leaving(Moody):
        left = 0

        async def send(self, envelopes: Sequence[Envelope]) -> list[str | None]:
            if len(envelopes) == 1 and self.left == 2:
                broker.up = False
            outcomes = await super().send(envelopes)
            self.left += 1
            return outcomes

    transport = Leaving(broker, ValueError("no"))
    found = [(number, ordered(name)) for number, name in enumerate(["a", "b", "bad", "c"])]
    outcomes: Outcomes = {}

    async def test() -> None:
        with pytest.raises(TransportUnavailable):
            await hand_over(transport, found, outcomes)
        assert outcomes == {0: None, 1: None}
        broker.up, transport.problem = True, None
        await hand_over(transport, found, outcomes)

    in_virtual_time(test)
    assert outcomes == dict.fromkeys(range(4))
    assert sent(broker) == {"a": 2, "b": 2, "bad": 1, "c": 1}


def test_who_stops_sending_stops_it_at_once() -> None:
    async def test() -> None:
        task = asyncio.get_running_loop().create_task(
            hand_over(Silent(MemoryBroker(), "shop", ORDERED, set()), [(1, ordered("a"))], {})
        )
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    assert in_virtual_time(test) < 1
