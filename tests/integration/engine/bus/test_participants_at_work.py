"""Participants in one process and in several: what is handled, what is tried again, what waits, what is parked."""

import asyncio

import pytest
from lab.lab import Lab, Process, in_lab
from msgspec import Raw

from sagalog import Command, Event, MessageContext, Participant, Refused, Retry
from sagalog.messages import Envelope
from sagalog.settings import Settings
from sagalog.store import Store, UnmatchedRow
from sagalog.stores.memory.store import MemoryStore
from sagalog.testing.simulation.faults import CrashAt

QUICK = Retry(attempts=3, delay=0.1)


class Ordered(Event):
    order: str
    number: int = 0


class Cooked(Event):
    order: str


class Served(Event):
    order: str


class Cook(Command):
    order: str


class Kitchen:
    """A participant that cooks what is ordered, and does as it is told."""

    def __init__(self, timeout: float | None = 60) -> None:
        self.seen: list[tuple[str, int]] = []
        self.attempts: list[int] = []
        self.trouble: dict[tuple[str, int], Exception] = {}
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.at_once = self.most_at_once = 0
        self.participant = Participant("kitchen", retry=QUICK, timeout=timeout)

        @self.participant.on
        async def cook(event: Ordered, ctx: MessageContext) -> Cooked:
            about = (event.order, event.number)
            self.seen.append(about)
            self.attempts.append(ctx.attempt)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                await asyncio.sleep(0.01)
                await self.is_open.wait()
                if about in self.trouble:
                    raise self.trouble[about]
            finally:
                self.at_once -= 1
            return Cooked(order=event.order)

        assert cook.__name__ == "cook"


class Waiter:
    """A participant that serves what is cooked, in a plain function."""

    def __init__(self) -> None:
        self.served: list[str] = []
        self.participant = Participant("waiter")

        @self.participant.on
        def serve(event: Cooked) -> Served:
            self.served.append(event.order)
            return Served(order=event.order)

        assert serve.__name__ == "serve"


async def published(process: Process, order: str, number: int = 0, id: str | None = None) -> str:
    """Publish an order; all that is about one order is one lane."""
    event = Ordered(order=order, number=number)
    return await process.do(process.manager.publish(event, id=id, correlation_id=order))


async def parked(lab: Lab, process: Process, number: int = 1) -> list[UnmatchedRow]:
    """Wait until so many messages are parked, and return them."""
    while len(rows := await process.do(process.manager.unmatched())) < number:
        await lab.sleep(0.1)
    return rows


def log_of(store: Store) -> list[Envelope]:
    return [envelope for _, envelope in store.read_messages(0, 1000)]


def test_what_is_published_is_handled_and_what_follows_is_published_and_handled_too(
    each_database: str | Store,
) -> None:
    async def story(lab: Lab) -> None:
        kitchen, waiter = Kitchen(), Waiter()
        process = await lab.begin(participants=[kitchen.participant, waiter.participant])
        first = await published(process, "soup")
        await lab.until(lambda: len(log_of(lab.stores[0])) == 3)
        assert kitchen.seen == [("soup", 0)]
        assert waiter.served == ["soup"]
        ordered, cooked, served = log_of(lab.stores[0])
        assert (ordered.id, ordered.name, ordered.source, ordered.causation_id) == (first, "Ordered", "sagalog", None)
        assert (cooked.name, cooked.source, cooked.causation_id) == ("Cooked", "kitchen", first)
        assert (served.name, served.source, served.causation_id) == ("Served", "waiter", cooked.id)
        assert {one.correlation_id for one in (ordered, cooked, served)} == {"soup"}

    in_lab(each_database, story)


def test_a_message_published_again_under_its_id_is_handled_once(each_database: str | Store) -> None:
    """Invariant 7."""

    async def story(lab: Lab) -> None:
        kitchen = Kitchen()
        process = await lab.begin(participants=[kitchen.participant])
        for _ in range(3):
            assert await published(process, "soup", id="order-1") == "order-1"
        again = log_of(lab.stores[0])[0]
        assert await process.do(process.manager.handle(again)) is False
        await published(process, "fish")
        await lab.until(lambda: len(log_of(lab.stores[0])) == 4)
        assert kitchen.seen == [("soup", 0), ("fish", 0)]

    in_lab(each_database, story)


def test_a_handler_that_fails_is_tried_again_and_then_parked_with_its_error(each_database: str | Store) -> None:
    """Invariant 26."""

    async def story(lab: Lab) -> None:
        kitchen = Kitchen()
        kitchen.trouble["soup", 0] = ConnectionError("the stove is out")
        process = await lab.begin(participants=[kitchen.participant])
        message_id = await published(process, "soup")
        (row,) = await parked(lab, process)
        assert kitchen.attempts == [1, 2, 3]
        assert row.consumer == "participant:kitchen"
        assert (row.message_id, row.name, row.status) == (message_id, "Ordered", "parked")
        assert row.reason == "handler cook failed for good after 3 attempts: ConnectionError: the stove is out"
        # It is not tried again by itself.
        await lab.sleep(60)
        assert kitchen.attempts == [1, 2, 3]

    in_lab(each_database, story)


def test_a_handler_without_a_policy_outlives_an_outage_of_an_hour() -> None:
    away, heard = [True], list[int]()
    desk = Participant("desk")

    @desk.on
    async def hear(event: Ordered) -> None:
        if away:
            raise ConnectionError("the desk is closed")
        heard.append(event.number)

    assert hear.__name__ == "hear"

    async def story(lab: Lab) -> None:
        process = await lab.begin(participants=[desk])
        await published(process, "soup", 1)
        await lab.sleep(3600)
        assert heard == []
        assert await process.do(process.manager.unmatched()) == []
        away.clear()
        await lab.until(lambda: heard == [1])

    in_lab(MemoryStore(), story)


def test_a_mistake_in_a_handler_is_not_tried_again(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        kitchen = Kitchen()
        kitchen.trouble["soup", 0] = AttributeError("no attribute 'salt'")
        process = await lab.begin(participants=[kitchen.participant])
        await published(process, "soup")
        (row,) = await parked(lab, process)
        assert kitchen.attempts == [1]
        assert row.reason == "handler cook failed for good after 1 attempt: AttributeError: no attribute 'salt'"

    in_lab(each_database, story)


def test_a_handler_that_hangs_is_given_up_in_its_time_and_tried_again(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        kitchen = Kitchen(timeout=5)
        kitchen.is_open.clear()
        process = await lab.begin(participants=[kitchen.participant])
        await published(process, "soup")
        await lab.until(lambda: kitchen.attempts == [1, 2])
        kitchen.is_open.set()
        await lab.until(lambda: len(log_of(lab.stores[0])) == 2)
        assert kitchen.attempts == [1, 2]

    in_lab(each_database, story)


def test_what_comes_after_a_failing_message_waits_in_order_and_others_go_on(each_database: str | Store) -> None:
    """Invariant 36: its own later inputs are held in order, and nobody else is delayed."""

    async def story(lab: Lab) -> None:
        kitchen = Kitchen()
        kitchen.trouble["soup", 1] = ConnectionError("the stove is out")
        process = await lab.begin(participants=[kitchen.participant])
        for number in (1, 2, 3):
            await published(process, "soup", number)
        for number in (1, 2, 3):
            await published(process, "fish", number)
        (row,) = await parked(lab, process)
        await lab.until(lambda: ("fish", 3) in kitchen.seen)
        await lab.sleep(10)
        assert [number for order, number in kitchen.seen if order == "fish"] == [1, 2, 3]
        assert {number for order, number in kitchen.seen if order == "soup"} == {1}

        # A person mends it: it is handled first, and then what waited behind it, in order.
        kitchen.trouble.clear()
        kitchen.seen.clear()
        manager = process.manager
        await process.do(manager.redeliver(row.unmatched_id, actor="ada", reason="the stove is lit"))
        await lab.until(lambda: len(kitchen.seen) == 3)
        assert kitchen.seen == [("soup", 1), ("soup", 2), ("soup", 3)]
        assert await process.do(manager.unmatched()) == []

    in_lab(each_database, story)


def test_a_discarded_message_lets_those_behind_it_go_on(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        kitchen = Kitchen()
        kitchen.trouble["soup", 1] = TypeError("not so")
        process = await lab.begin(participants=[kitchen.participant])
        for number in (1, 2):
            await published(process, "soup", number)
        (row,) = await parked(lab, process)
        manager = process.manager
        await process.do(manager.discard(row.unmatched_id, actor="ada", reason="nobody wants soup"))
        await lab.until(lambda: kitchen.seen == [("soup", 1), ("soup", 2)])

    in_lab(each_database, story)


def test_no_more_messages_are_handled_at_once_than_the_settings_say(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        kitchen = Kitchen()
        settings = Settings(lease=3.0, poll=0.5, most_handling=4)
        process = await lab.begin(participants=[kitchen.participant], settings=settings)
        kitchen.is_open.clear()
        await published(process, "order-0")
        await lab.until(lambda: kitchen.at_once == 1)
        manager = process.manager

        async def publish_the_rest() -> None:
            events = [Ordered(order=f"order-{number}") for number in range(1, 20)]
            await asyncio.gather(*(manager.publish(event) for event in events))

        await process.do(publish_the_rest())
        await lab.until(lambda: kitchen.at_once >= 4)
        await lab.sleep(5)
        kitchen.is_open.set()
        await lab.until(lambda: len(log_of(lab.stores[0])) == 40)
        assert kitchen.most_at_once == 4

    in_lab(each_database, story)


def command(order: str, id: str = "") -> Envelope:
    return Envelope(
        id=id or f"cook-{order}",
        kind="command",
        name="Cook",
        source="elsewhere",
        correlation_id=order,
        time=0,
        data=Raw(b'{"order": "%s"}' % order.encode()),
    )


def test_a_command_is_answered_also_when_it_is_refused_or_silently_done(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        chef = Participant("chef")

        @chef.handles
        def cook(command: Cook) -> Cooked | None:
            if command.order == "fugu":
                raise Refused("too dangerous")
            return Cooked(order=command.order) if command.order == "soup" else None

        assert cook.__name__ == "cook"
        process = await lab.begin(participants=[chef])
        for order in ("soup", "fugu", "ice"):
            await process.do(process.manager.handle(command(order)))
        await lab.until(lambda: len(log_of(lab.stores[0])) == 6)
        answers = {one.causation_id: (one.name, bytes(one.data)) for one in log_of(lab.stores[0]) if one.causation_id}
        assert answers == {
            "cook-soup": ("Cooked", b'{"order":"soup"}'),
            "cook-fugu": ("CommandRefused", b'{"reason":"too dangerous"}'),
            "cook-ice": ("CommandDone", b"{}"),
        }

    in_lab(each_database, story)


def test_an_answer_that_cannot_be_stored_parks_the_message(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        kitchen = Participant("kitchen")

        @kitchen.on
        async def cook(event: Ordered) -> Cooked:
            return Cooked(order="x" * 300_000)

        assert cook.__name__ == "cook"
        process = await lab.begin(participants=[kitchen])
        await published(process, "soup")
        (row,) = await parked(lab, process)
        assert "PayloadTooLarge" in row.reason
        assert len(log_of(lab.stores[0])) == 1

    in_lab(each_database, story)


@pytest.mark.parametrize("point", range(1, 13))
def test_a_process_that_dies_anywhere_loses_no_message_and_doubles_no_answer(
    each_database: str | Store, point: int
) -> None:
    """Invariants 5 and 7: a crash before and after each write, and in the middle of each handler."""

    async def story(lab: Lab) -> None:
        kitchen, waiter = Kitchen(), Waiter()
        both = [kitchen.participant, waiter.participant]
        first = await lab.begin(participants=both)
        first.incarnation.spawn(first.manager.publish(Ordered(order="soup"), id="1"))
        await asyncio.wait({asyncio.ensure_future(first.incarnation.ended)}, timeout=20)
        first.kill()
        second = await lab.begin(participants=both)
        await published(second, "soup", id="1")
        await lab.until(lambda: len(log_of(lab.stores[0])) == 3)
        await lab.sleep(20)
        assert [one.name for one in log_of(lab.stores[0])] == ["Ordered", "Cooked", "Served"]

    in_lab(each_database, story, CrashAt(point))
