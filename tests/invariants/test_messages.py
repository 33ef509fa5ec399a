"""Invariants 1, 2, 3, 5, 7, 20, 34 and 36, where messages meet sagas: on every store, with the real engine."""

from collections.abc import Sequence

import pytest
from lab.lab import Lab, in_lab
from sagas.message_shop import (
    OrderPlaced,
    Packed,
    PaidBack,
    PaymentTaken,
    Shop,
    end_of,
    message,
    placed,
    row_of,
    types_of,
)

from sagalog import Event
from sagalog.codec import CODEC
from sagalog.settings import Settings
from sagalog.store import Append, AppendOutcome, InboxRow, Route, Store
from sagalog.stores.memory.store import MemoryStore
from sagalog.testing.simulation.faults import CrashAt

# ---------------------------------------------------------------------------------------------- 2: no second life


def test_two_events_of_one_key_in_one_batch_start_one_saga(each_database: str | Store) -> None:
    """Invariants 1 and 2: the second is for the saga that the first starts, in the same transaction."""

    async def story(lab: Lab) -> None:
        shop = Shop()
        door = await lab.begin(worker=False)
        for number in (1, 2, 3):
            await placed(door, "o1", id=f"placed-{number}")
        process = await shop.begin(lab)
        assert await end_of(lab, process, "o1") == "completed"
        store = lab.stores[0]
        saga_id = row_of(store, "o1").saga_id
        await lab.until(lambda: types_of(store, saga_id).count("StartRefused") == 2)
        assert row_of(store, "o1").run == 1
        assert shop.taken == ["o1"]

    in_lab(each_database, story)


@pytest.mark.parametrize("same_id", [True, False])
def test_a_start_that_comes_again_after_the_end_makes_no_second_saga(each_database: str | Store, same_id: bool) -> None:
    """Invariant 2: the refusal of another message with the same key is recorded; the same message is no news."""

    async def story(lab: Lab) -> None:
        shop = Shop()
        process = await shop.begin(lab)
        await placed(process, "o1", id="placed-1")
        assert await end_of(lab, process, "o1") == "completed"
        await placed(process, "o1", id="placed-1" if same_id else "placed-2")
        store = lab.stores[0]
        if not same_id:
            saga_id = row_of(store, "o1").saga_id
            await lab.until(lambda: types_of(store, saga_id)[-1] == "StartRefused")
        await lab.sleep(10)
        assert row_of(store, "o1").run == 1
        assert shop.taken == ["o1"]

    in_lab(each_database, story)


def test_a_saga_that_may_run_again_does_so_once_for_each_message(each_database: str | Store) -> None:
    """Invariants 2 and 34: a new run is declared, and a reply to a command of the first goes to the first."""

    async def story(lab: Lab) -> None:
        shop = Shop(after_end="rerun")
        process = await shop.begin(lab)
        await placed(process, "o1", id="placed-1")
        assert await end_of(lab, process, "o1") == "completed"
        store = lab.stores[0]
        first = row_of(store, "o1")
        await placed(process, "o1", id="placed-2")
        await lab.until(lambda: row_of(store, "o1").run == 2)
        assert await end_of(lab, process, "o1") == "completed"
        second = row_of(store, "o1")
        before = len(store.read(second.saga_id))
        late = message(PaymentTaken(order_id="o1", payment="p"), causation_id=f"{first.saga_id}:take_payment")
        await process.do(process.manager.handle(late))
        await lab.until(lambda: types_of(store, first.saga_id)[-1] == "EventReceived")
        assert len(store.read(second.saga_id)) == before
        assert shop.taken == ["o1", "o1"]

    in_lab(each_database, story)


# ---------------------------------------------------------------------------------------------- 5, 7: at any crash


@pytest.mark.parametrize("point", range(1, 25))
def test_a_crash_anywhere_between_an_event_and_the_end_of_its_saga_changes_nothing(
    each_database: str | Store, point: int
) -> None:
    """Invariants 3, 5 and 7: between publish, route, mail, command, handling and reply, before and after each."""

    async def story(lab: Lab) -> None:
        shop = Shop()
        first = await shop.begin(lab)
        first.incarnation.spawn(first.manager.publish(OrderPlaced(order_id="moon", cents=1), id="placed"))
        await lab.wait({first.incarnation.ended}, 30)
        first.kill()
        second = await shop.begin(lab)
        await placed(second, "moon", 1, id="placed")
        assert await end_of(lab, second, "moon") == "failed"
        await lab.sleep(20)
        store = lab.stores[0]
        messages = [envelope for _, envelope in store.read_messages(0, 100)]
        assert sorted({one.name for one in messages}) == [
            "CannotShip",
            "OrderPlaced",
            "PaidBack",
            "PayBack",
            "PaymentTaken",
            "Ship",
            "TakePayment",
        ]
        assert len(messages) == 7
        # Nobody could know of a command before the saga knew that it would be answered.
        commands = store.commands_of(row_of(store, "moon").saga_id)
        assert {row.command_id for row in commands} == {one.id for one in messages if one.kind == "command"}
        assert {row.status for row in commands} == {"succeeded", "refused"}
        assert await second.do(second.manager.unmatched()) == []
        types = types_of(store, row_of(store, "moon").saga_id)
        assert types.count("RequestSent") == 3
        assert types.count("StepCompensated") == 1

    in_lab(each_database, story, CrashAt(point))


def test_a_message_handed_over_three_times_is_taken_once(each_database: str | Store) -> None:
    """Invariant 7: also when it had been parked and is delivered by hand."""

    async def story(lab: Lab) -> None:
        shop = Shop(waits=True)
        process = await shop.begin(lab)
        manager = process.manager
        await placed(process, "o1")
        store = lab.stores[0]
        await lab.until(lambda: store.latest_run("fulfil", "o1") is not None)
        taken = [await process.do(manager.handle(message(Packed(order_id="o1")))) for _ in range(3)]
        assert taken == [True, False, False]
        assert await end_of(lab, process, "o1") == "completed"
        assert len([1 for _, one in store.read_messages(0, 100) if one.name == "Packed"]) == 1

    in_lab(each_database, story)


def test_a_message_leaves_the_inbox_in_the_transaction_that_records_it() -> None:
    """Invariants 5 and 7: with its event or not at all."""
    recorded: list[tuple[str, tuple[str, ...]]] = []

    class Watched(MemoryStore):
        def append(self, appends: Sequence[Append]) -> list[AppendOutcome]:
            for one in appends:
                events = CODEC.decode_all(one.events)
                messages = [taken for event in events if (taken := getattr(event, "message", None)) is not None]
                recorded.extend((message, tuple(one.taken)) for message in messages if one.expected)
            return super().append(appends)

    async def story(lab: Lab) -> None:
        process = await Shop().begin(lab)
        await placed(process, "moon")
        assert await end_of(lab, process, "moon") == "failed"
        assert len(recorded) == 3
        assert all(taken == (message,) for message, taken in recorded)

    in_lab(Watched(), story)


def test_a_message_that_a_saga_has_taken_before_leaves_the_inbox_and_changes_nothing(
    each_database: str | Store,
) -> None:
    """Invariant 7: should one ever be put into the inbox again, it is no news, and nobody turns in circles for it."""

    async def story(lab: Lab) -> None:
        process = await Shop().begin(lab)
        await placed(process, "o1")
        assert await end_of(lab, process, "o1") == "completed"
        store = lab.stores[0]
        saga_id = row_of(store, "o1").saga_id
        position, reply = next(found for found in store.read_messages(0, 10) if found[1].name == "Shipped")
        now = lab.world.now()
        again = InboxRow(saga_id, reply.id, saga_id, reply.name, now, now, position=position)
        before = types_of(store, saga_id)
        assert store.route(Route((), inbox=[again])) == "written"
        assert store.inbox(saga_id, now, 10)
        await lab.until(lambda: not store.inbox(saga_id, now, 10))
        assert types_of(store, saga_id) == before

    in_lab(each_database, story)


def test_a_saga_that_waits_for_an_answer_is_kept_and_woken_by_it() -> None:
    """It is not given back and claimed again for each answer, and does not sleep while there is mail."""

    class Watched(MemoryStore):
        released = 0

        def release(self, worker_id: str, saga_ids: Sequence[str] | None = None) -> None:
            self.released += 1
            super().release(worker_id, saga_ids)

    store = Watched()

    async def story(lab: Lab) -> None:
        process = await Shop(timeout=3000).begin(lab, settings=Settings(lease=3.0, poll=0.5, longest_wait=1000))
        for number in range(5):
            await placed(process, f"o{number}")
            assert await end_of(lab, process, f"o{number}") == "completed"
        assert store.released == 0
        assert lab.world.loop.time() < 60

    in_lab(store, story)


# ---------------------------------------------------------------------------------------------- 20: late


def test_a_payment_that_is_taken_after_the_saga_has_failed_is_paid_back_once(each_database: str | Store) -> None:
    """Invariant 20: a late success wakes a saga that has ended; delivered three times it is undone once."""

    async def story(lab: Lab) -> None:
        shop = Shop(timeout=5)
        # The bank is another service, and slow: the test answers for it.
        process = await lab.begin([shop.saga])
        store = lab.stores[0]

        async def answer(event: Event, id: str, to: str) -> None:
            await process.do(process.manager.handle(message(event, id, causation_id=to)))

        await placed(process, "o1")
        await lab.until(lambda: len(store.read_messages(0, 10)) == 3)
        saga_id = row_of(store, "o1").saga_id
        command = f"{saga_id}:take_payment"
        await answer(PaidBack(payment="nothing"), "m-1", f"{command}:undo")
        assert await end_of(lab, process, "o1") == "failed"
        for _ in range(3):
            await answer(PaymentTaken(order_id="o1", payment="p"), "m-2", command)
        await lab.until(lambda: row_of(store, "o1").status == "compensating")
        await lab.until(lambda: len(store.read_messages(0, 10)) == 6)
        await answer(PaidBack(payment="p"), "m-3", f"{command}:undo:2")
        assert await end_of(lab, process, "o1") == "failed"
        await lab.sleep(30)
        sent = [one.id for _, one in store.read_messages(0, 100) if one.kind == "command"]
        assert sent == [command, f"{command}:undo", f"{command}:undo:2"]
        assert types_of(store, saga_id).count("StepCompensated") == 2

    in_lab(each_database, story)


# ---------------------------------------------------------------------------------------------- 36: bulkhead


def test_a_saga_whose_participant_hangs_delays_no_other(each_database: str | Store) -> None:
    """Invariant 36."""

    async def story(lab: Lab) -> None:
        shop = Shop()
        shop.slow.add("o1")
        process = await shop.begin(lab)
        await placed(process, "o1")
        for number in range(2, 12):
            await placed(process, f"o{number}")
        for number in range(2, 12):
            assert await end_of(lab, process, f"o{number}") == "completed"
        assert row_of(lab.stores[0], "o1").status == "pending"
        shop.answers.set()
        assert await end_of(lab, process, "o1") == "completed"

    in_lab(each_database, story)
