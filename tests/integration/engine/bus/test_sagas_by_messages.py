"""Sagas that begin with an event and talk to participants by commands and events, from the first to the last."""

from lab.lab import Lab, in_lab
from sagas.message_shop import Shop, end_of, placed

from sagalog.store import Store


def test_an_event_starts_a_saga_that_asks_participants_and_completes(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop()
        process = await shop.begin(lab)
        message_id = await placed(process, "o1")
        assert await end_of(lab, process, "o1") == "completed"
        assert (shop.taken, shop.shipped, shop.paid_back) == (["o1"], ["o1"], [])
        row = lab.stores[0].latest_run("fulfil", "o1")
        assert row is not None
        assert (row.causation_id, row.correlation_id) == (message_id, message_id)
        names = [(one.name, one.kind) for _, one in lab.stores[0].read_messages(0, 100)]
        assert names == [
            ("OrderPlaced", "event"),
            ("TakePayment", "command"),
            ("PaymentTaken", "event"),
            ("Ship", "command"),
            ("Shipped", "event"),
        ]

    in_lab(each_database, story)


def test_a_refusal_undoes_what_was_done_by_a_command_too(each_database: str | Store) -> None:
    async def story(lab: Lab) -> None:
        shop = Shop()
        process = await shop.begin(lab)
        await placed(process, "moon")
        assert await end_of(lab, process, "moon") == "failed"
        assert (shop.taken, shop.shipped, shop.paid_back) == (["moon"], [], ["pay-moon"])

    in_lab(each_database, story)
