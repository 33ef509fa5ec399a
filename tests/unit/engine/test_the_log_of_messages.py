"""What becomes of a message is logged with its ids as fields, loud enough for what a person has to see."""

import asyncio
import logging

import pytest

from sagalog import Event, Participant, Retry
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.stores.memory.store import MemoryStore


class Asked(Event):
    number: int


class Answered(Event):
    number: int


def test_every_message_that_is_published_routed_handled_tried_again_or_parked_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    participant = Participant("echo", retry=Retry(attempts=2, delay=0))

    @participant.on
    async def answer(asked: Asked) -> Answered:
        if asked.number == 2:
            raise ConnectionError("no answer")
        return Answered(number=asked.number)

    assert answer.__name__ == "answer"

    async def test() -> None:
        async with ProcessManager(MemoryStore(), participants=[participant], settings=Settings(poll=0.01)) as manager:
            for number in (1, 2):
                await manager.publish(Asked(number=number), id=f"asked-{number}", correlation_id=f"c-{number}")
            while not await manager.unmatched() or len(manager.store.read_messages(0, 10)) < 3:
                await asyncio.sleep(0)

    with caplog.at_level(logging.INFO, "sagalog.messages"):
        asyncio.run(test())
    said = {(record.levelname, record.getMessage()): record.__dict__ for record in caplog.records}
    first = said["INFO", "Asked asked-1 published by sagalog"]
    assert (first["message_id"], first["message_name"], first["correlation_id"]) == ("asked-1", "Asked", "c-1")
    assert said["INFO", "Asked asked-1 routed to participant:echo"]["recipient"] == "participant:echo"
    assert said["INFO", "Asked asked-1 handled by participant:echo"]["attempt"] == 1
    again = said["WARNING", "Asked asked-2 is handled again by participant:echo: ConnectionError: no answer"]
    assert (again["attempt"], again["message_id"]) == (1, "asked-2")
    parked = "handler answer failed for good after 2 attempts: ConnectionError: no answer"
    last = said["ERROR", f"Asked asked-2 is parked for participant:echo: {parked}"]
    assert (last["correlation_id"], last["recipient"]) == ("c-2", "participant:echo")
    assert last["unmatched_id"]
