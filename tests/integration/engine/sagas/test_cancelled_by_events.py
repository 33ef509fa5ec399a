"""Sagas that an event cancels: when it comes in time, too early, too late, and twice; each is recorded."""

from lab.lab import Lab, Process, in_lab
from sagas.withdrawn import Order, Paid, Shop, Withdrawn

from sagalog.saga import events as e
from sagalog.store import Store


async def withdraw(process: Process) -> str:
    return await process.do(process.manager.publish(Withdrawn(order_id="o-1")))


async def last(process: Process, saga_id: str) -> e.SagaEvent:
    return (await process.do(process.manager.history(saga_id)))[-1]


def test_an_event_cancels_the_saga_of_its_key(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        process = await shop.begin()
        saga_id = await shop.waiting(process)
        message_id = await withdraw(process)
        assert (await process.result(saga_id)).status == "failed"
        history = await process.do(process.manager.history(saga_id))
        (taken,) = [event for event in history if isinstance(event, e.ActionTaken)]
        assert (taken.verb, taken.actor, taken.event) == ("cancel", "event Withdrawn", "Withdrawn")
        assert taken.action_id == message_id
        assert shop.desk.diary == ["reserve", "release"]

    in_lab(each_database, story)


def test_a_second_one_and_one_after_the_end_are_recorded_and_refused(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        shop.desk.slow["release"] = 20.0
        process = await shop.begin()
        saga_id = await shop.waiting(process)
        await withdraw(process)
        await shop.reaches(saga_id, "CompensationStarted")
        await withdraw(process)
        assert (await process.result(saga_id)).status == "failed"
        third = await withdraw(process)
        await lab.until(lambda: len(lab.stores[0].read(saga_id)) == 9)
        history = await process.do(process.manager.history(saga_id))
        refusals = [one for one in history if isinstance(one, e.ActionRefused)]
        # The one that came during the compensation waited for its end.
        assert [one.why for one in refusals] == ["it has ended, and is failed"] * 2
        assert refusals[-1].action_id == third
        assert shop.desk.diary == ["reserve", "release"]

    in_lab(each_database, story)


def test_after_the_pivot_it_is_recorded_and_the_saga_goes_on(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        shop.desk.slow["tell"] = 20.0
        process = await shop.begin()
        saga_id = await shop.waiting(process)
        await process.do(process.manager.publish(Paid(order_id="o-1")))
        await lab.until(lambda: "ship" in shop.desk.diary)
        await withdraw(process)
        assert (await process.result(saga_id)).status == "completed"
        await shop.reaches(saga_id, "ActionRefused")
        assert shop.desk.diary == ["reserve", "ship", "tell"]

    in_lab(each_database, story)


def test_before_the_saga_it_is_parked_and_can_be_delivered_later(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        process = await shop.begin()
        await withdraw(process)
        (row,) = await process.parked()
        assert "no saga orders has the key 'o-1', which Withdrawn is for" in row.reason
        saga_id = await shop.waiting(process)
        await process.do(process.manager.redeliver(row.unmatched_id, actor="ada", reason="it is there now"))
        assert (await process.result(saga_id)).status == "failed"

    in_lab(each_database, story)


def test_before_the_saga_it_can_prevent_it(each_database: str | Store) -> None:
    """Invariant 1: the key is used, so nobody can start the saga any more."""

    async def story(lab: Lab) -> None:
        shop = Shop(lab, "prevent")
        process = await shop.begin()
        message_id = await withdraw(process)
        await lab.until(lambda: bool(lab.stores[0].sagas_by_key("orders", ["o-1"])))
        result = await process.execute(shop.saga, Order("o-1"), "o-1")
        assert result.error is not None
        assert (result.status, result.error.type, result.error.kind) == ("failed", "Cancelled", "cancelled")
        row = await process.do(process.manager.status("o-1"))
        assert row.causation_id == message_id
        assert isinstance(await last(process, row.saga_id), e.StartRefused)
        assert shop.desk.diary == []

    in_lab(each_database, story)


def test_with_every_crash_it_is_taken_once(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop(lab)
        shop.desk.slow["reserve"] = 1.0
        process = await shop.begin()
        saga_id = await process.start(shop.saga, Order("o-1"), "o-1")
        await withdraw(process)
        for _ in range(6):
            await lab.sleep(1.2)
            process.kill()
            await lab.sleep(4)
            process = await shop.begin()
        assert (await process.result(saga_id)).status == "failed"
        history = await process.do(process.manager.history(saga_id))
        assert [type(one).__name__ for one in history].count("ActionTaken") == 1

    in_lab(each_database, story)
