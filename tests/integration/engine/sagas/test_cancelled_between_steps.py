"""A step that was never begun is not taken for one whose outcome nobody knows, when its saga is rolled back."""

import asyncio
from typing import Any

from lab.lab import Lab, in_lab

from sagalog import Saga
from sagalog.store import Store

ADA: Any = {"actor": "ada", "reason": "she asked for it"}
SECONDS = 4.0


def parcels(done: list[str]) -> Saga[str]:
    """Return a saga of three steps; what undoes the last one needs its result."""
    saga = Saga("parcels", input=str, key=lambda given: given, timeout=None)

    @saga.step
    def pick(given: str) -> int:
        done.append("pick")
        return 1

    @pick.compensate
    def put_back(picked: int | None) -> None:
        done.append("put back")

    @saga.step(compensation=None, timeout=None)
    async def wrap(given: str) -> str:
        await asyncio.sleep(SECONDS)
        return "wrapped"

    @saga.step
    def send(wrap: str) -> float:
        done.append("send")
        return 1.0

    @send.compensate
    def call_back(sent: float) -> None:
        done.append("call back")

    assert (put_back.__name__, wrap.name, call_back.__name__) == ("put_back", "wrap", "call_back")
    return saga


def test_a_saga_that_is_cancelled_during_a_step_never_begins_the_next_one(each_database: str | Store) -> None:
    """Invariants 19 and 24: so there is nothing to undo of that one, and nothing to be stuck at."""
    done: list[str] = []

    async def story(lab: Lab) -> None:
        saga = parcels(done)
        process = await lab.begin([saga])
        saga_id = await process.start(saga, "o-1", "o-1")
        await lab.until(lambda: done == ["pick"])
        await lab.sleep(1.0)
        await process.do(process.manager.cancel(saga_id, queue=True, **ADA))
        assert (await process.result(saga_id)).status == "failed"
        steps = {(row.step, row.direction): row for row in await process.do(process.manager.steps(saga_id))}
        sent = steps["send", "action"]
        assert (sent.status, sent.error_type, sent.error_text) == (
            "refused",
            "NotBegun",
            "the saga was rolled back before it was begun",
        )
        assert done == ["pick", "put back"]

    in_lab(each_database, story)
