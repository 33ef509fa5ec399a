"""Invariant 36: what was set aside is routed again beside the rest: neither its size nor its number holds up others."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from lab.lab import Lab, Process, in_lab
from msgspec.structs import replace
from servers.slow_link import Big, Small, link, published, takes

from sagalog.clock import SystemClock
from sagalog.engine.message_log import log_parked
from sagalog.engine.unmatched import parked_row
from sagalog.errors import StoreError, StoreUnavailable
from sagalog.store import UNMATCHED_STATUSES, Route, RouteOutcome, UnmatchedQuery
from sagalog.stores.memory.store import MemoryStore
from sagalog.testing.contracts.store.message_samples import event
from sagalog.testing.simulation.world import SimulatedBlocking

Result = TypeVar("Result")


class Troubled(MemoryStore):
    """Take no rows for inboxes with this name."""

    refused = "Big"

    def route(self, route: Route) -> RouteOutcome:
        if any(row.name == self.refused for row in route.inbox):
            raise StoreError("locked")
        return super().route(route)


async def set_aside(lab: Lab, store: Troubled, number: int) -> None:
    """Let a lane of so many messages wait."""
    process = await lab.begin(participants=[takes(Big, [], "big"), takes(Small, [], "small")])
    await published(process, *(Big(number=one) for one in range(number)), lane="one")
    query = UnmatchedQuery(statuses=UNMATCHED_STATUSES, limit=1000)
    await lab.until(lambda: len(store.unmatched(query)) == number)
    process.kill()
    store.refused = ""


async def latest(lab: Lab, process: Process, others: list[int]) -> float:
    """Return how long the slowest of some small messages took."""
    late: list[float] = []
    for number in range(20):
        began = lab.now()
        await published(process, Small(number=number))
        while number not in others:
            await lab.sleep(0.01)
        late.append(lab.now() - began)
    return max(late)


@pytest.mark.parametrize("is_slow", [False, True])
def test_a_long_lane_that_recovers_holds_up_no_other_consumer_and_keeps_its_order(is_slow: bool) -> None:
    store, seen, others = Troubled(), list[int](), list[int]()
    blocking = link(2_200, {"redelivering", "unmatched"}, []) if is_slow else SimulatedBlocking

    async def story(lab: Lab) -> None:
        await set_aside(lab, store, 300)
        both = [takes(Big, seen, "big"), takes(Small, others, "small")]
        process = await lab.begin(participants=both, blocking=blocking)
        # The lease of the one that was killed.
        await published(process, Small(number=-1))
        while -1 not in others:
            await lab.sleep(0.01)
        assert await latest(lab, process, others) < 2
        await published(process, Big(number=300), lane="one")
        await lab.until(lambda: len(seen) == 301)
        assert seen == list(range(301))

    in_lab(store, story)


def test_a_consumer_for_which_nothing_can_be_written_takes_a_tenth_of_the_writer_at_most() -> None:
    vain, others = list[float](), list[int]()

    class Locked(SimulatedBlocking):
        async def write(self, call: Callable[..., Result], *arguments: Any) -> Result:
            first = arguments[0] if arguments else None
            if isinstance(first, Route) and any(one.consumer == "participant:big" for one in first.advances):
                async with self._writer:
                    await asyncio.sleep(1)
                vain.append(1)
                raise StoreUnavailable("lock_timeout")
            return await super().write(call, *arguments)

    async def story(lab: Lab) -> None:
        both = [takes(Big, [], "big"), takes(Small, others, "small")]
        process = await lab.begin(participants=both, blocking=Locked)
        await published(process, Big(number=1))
        for number in range(300):
            await published(process, Small(number=number))
            await lab.sleep(1)
        await lab.until(lambda: len(others) == 300)
        assert sum(vain) < 0.12 * 300

    in_lab(MemoryStore(), story)


def test_what_merely_waits_behind_another_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sagalog.messages")
    for reason in ("it could not be routed yet: locked", "waits for one of the same correlation id"):
        row = parked_row(SystemClock(), "participant:echo", event("one"), 1, reason)
        log_parked(replace(row, status="redelivering"))
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
