"""One handling of a message: what it would write, without writing it."""

import asyncio

from msgspec import Raw

from sagalog import Command, Event, Participant
from sagalog.engine.blocking import Threads
from sagalog.engine.bus.handling import Handling
from sagalog.engine.calls.call import LoopWatch
from sagalog.engine.calls.call_resources import CallResources
from sagalog.engine.calls.failures import Failures
from sagalog.engine.calls.own_task import OwnTasks
from sagalog.engine.calls.turns import Turns
from sagalog.messages import Envelope
from sagalog.store import InboxRow, Posting
from sagalog.testing.clock import FakeClock


class Cook(Command):
    dish: str


class Cooked(Event):
    dish: str


class Smelled(Event):
    dish: str


def handled(times: int) -> list[Posting]:
    chef = Participant("chef")

    @chef.handles
    async def cook(command: Cook) -> list[Cooked | Smelled]:
        return [Cooked(dish=command.dish), Smelled(dish=command.dish)]

    assert cook.__name__ == "cook"
    envelope = Envelope(
        id="cook-1", kind="command", name="Cook", source="x", correlation_id="c", time=0, data=Raw(b'{"dish":"soup"}')
    )
    row = InboxRow("participant:chef", "cook-1", "c", "Cook", 0, 0, position=7)

    async def test() -> list[Posting]:
        threads = Threads(1, 1)
        resources = CallResources({}, Turns(threads), Failures(), OwnTasks(LoopWatch(1).held_up))
        handling = Handling(chef.definition, resources, FakeClock())
        try:
            return [await handling.handle(row, envelope, lambda: True) for _ in range(times)]
        finally:
            threads.close()

    return asyncio.run(test())


def test_what_a_handler_answers_has_the_same_ids_however_often_it_is_run() -> None:
    """Invariant 7: a command that is sent again is handled again, and what it answers is known already."""
    first, second = handled(2)
    assert [one.id for one in first.messages] == [one.id for one in second.messages]
    assert len({one.id for one in first.messages}) == 2


def test_a_handling_is_one_posting_with_the_answers_the_row_and_the_delivery() -> None:
    """Invariant 5."""
    (posting,) = handled(1)
    assert [(one.name, one.causation_id, one.correlation_id, one.source) for one in posting.messages] == [
        ("Cooked", "cook-1", "c", "chef"),
        ("Smelled", "cook-1", "c", "chef"),
    ]
    assert posting.taken == ("participant:chef", "cook-1")
    assert tuple(posting.delivered) == ("cook-1",)
    assert (posting.retry, posting.parked) == (None, None)
