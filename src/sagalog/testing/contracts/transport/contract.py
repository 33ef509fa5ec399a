"""What every transport must do, as one suite of tests; it uses only the port `sagalog.transport`.

Test your own transport with a subclass and a fixture (pytest is needed, and not imported here):

    pytest.register_assert_rewrite("sagalog.testing")
    from sagalog.testing.contracts.transport import TransportContract

    class TestMyTransport(TransportContract):
        @pytest.fixture
        def broker(self): ...      # a `BrokerOnTrial` that runs, and holds no message yet
"""

import asyncio
from functools import partial

from msgspec import Raw, structs

from sagalog.cloudevents import decode
from sagalog.errors import TransportUnavailable
from sagalog.messages import Envelope
from sagalog.saga.times import EARLIEST_TIME, LATEST_TIME
from sagalog.testing.contracts.transport.samples import (
    BOUND_SECONDS,
    TAKEN,
    BrokerOnTrial,
    Charge,
    Charged,
    Mailbox,
    charge,
    has,
    insist,
    introduce,
    opened,
    padded,
    run,
    until,
)
from sagalog.transport import Incoming, Receipt

__all__ = [
    "BOUND_SECONDS",
    "TAKEN",
    "BrokerOnTrial",
    "Charge",
    "Charged",
    "Mailbox",
    "TransportContract",
    "charge",
    "insist",
    "opened",
    "run",
    "until",
]


class TransportContract:
    """Every rule of the port."""

    def test_a_message_arrives_as_it_was_sent(self, broker: BrokerOnTrial) -> None:
        inbox = Mailbox()

        async def test() -> None:
            payments = broker.transport("payments", listens=[Charge])
            async with opened(broker.transport("orders", sends=[Charge])) as orders, opened(payments, inbox):
                assert await insist(orders, [charge(1)]) == [None]
                await until(lambda: bool(inbox.deliveries))

        run(test)
        [incoming] = inbox.deliveries
        arrived = decode(incoming.attributes, incoming.body, now=0, via="wire")
        assert isinstance(arrived, Envelope)
        sent = charge(1)
        for field in ("id", "kind", "name", "correlation_id", "causation_id", "time", "data", "saga_id", "step"):
            assert getattr(arrived, field) == getattr(sent, field), field
        assert arrived.source == "sagalog:orders/saga:orders"
        assert incoming.deliveries == 1

    def test_only_what_it_is_told_to_carry_goes_out(self, broker: BrokerOnTrial) -> None:
        async def test() -> None:
            orders = broker.transport("orders", sends=[Charge], listens=[Charged])
            assert orders.carries(charge(1))
            answered = Envelope(
                id="r-1", kind="event", name="Charged", source="payments", correlation_id="c", time=1, data=Raw(b"{}")
            )
            assert not orders.carries(answered)

        run(test)

    def test_every_service_that_listens_has_each_message_once(self, broker: BrokerOnTrial) -> None:
        one, other, audit = Mailbox(), Mailbox(), Mailbox()

        async def test() -> None:
            await introduce(broker, "payments")
            await introduce(broker, "audit")
            async with (
                opened(broker.transport("payments", listens=[Charge]), one),
                opened(broker.transport("payments", listens=[Charge]), other),
                opened(broker.transport("audit", listens=[Charge]), audit),
                opened(broker.transport("orders", sends=[Charge])) as orders,
            ):
                await insist(orders, [charge(number) for number in range(40)])
                await until(lambda: len(one.deliveries) + len(other.deliveries) >= 40 and len(audit.deliveries) >= 40)

        run(test)
        every = {charge(number).id: 1 for number in range(40)}
        assert one.ids + other.ids == every
        assert audit.ids == every

    def test_what_is_sent_while_nobody_listens_is_delivered_later(self, broker: BrokerOnTrial) -> None:
        inbox = Mailbox()

        async def test() -> None:
            await introduce(broker, "payments")
            async with opened(broker.transport("orders", sends=[Charge])) as orders:
                await insist(orders, [charge(1)])
            async with opened(broker.transport("payments", listens=[Charge]), inbox):
                await until(lambda: bool(inbox.deliveries))

        run(test)
        assert inbox.ids == {charge(1).id: 1}

    def test_what_was_not_taken_is_delivered_again_and_what_was_taken_is_not(self, broker: BrokerOnTrial) -> None:
        inbox = Mailbox(lambda incoming: TAKEN if incoming.deliveries == 3 else Receipt(False, 0.01))
        later = Mailbox()

        async def test() -> None:
            async with opened(broker.transport("orders", sends=[Charge])) as orders:
                async with opened(broker.transport("payments", listens=[Charge]), inbox):
                    await insist(orders, [charge(1)])
                    await until(lambda: len(inbox.deliveries) == 3)
                async with opened(broker.transport("payments", listens=[Charge]), later):
                    await insist(orders, [charge(2)])
                    await until(lambda: bool(later.deliveries))

        run(test)
        assert [incoming.deliveries for incoming in inbox.deliveries] == [1, 2, 3]
        assert later.ids == {charge(2).id: 1}

    def test_a_message_that_is_not_taken_holds_up_no_other(self, broker: BrokerOnTrial) -> None:
        """Invariant 36."""
        poison = charge(0).id
        refused = Receipt(False, 0.2)
        inbox = Mailbox(lambda incoming: refused if incoming.attributes["id"] == poison else TAKEN)

        async def test() -> None:
            async with (
                opened(broker.transport("orders", sends=[Charge])) as orders,
                opened(broker.transport("payments", listens=[Charge]), inbox),
            ):
                await insist(orders, [charge(number) for number in range(300)])
                await until(lambda: len(inbox.ids) == 300)

        run(test)

    def test_the_same_id_sent_again_arrives_again(self, broker: BrokerOnTrial) -> None:
        """A command is sent again under the same id after a timeout; a broker must not drop it as a duplicate."""
        inbox = Mailbox()

        async def test() -> None:
            async with (
                opened(broker.transport("orders", sends=[Charge])) as orders,
                opened(broker.transport("payments", listens=[Charge]), inbox),
            ):
                await insist(orders, [charge(1)])
                await insist(orders, [charge(1)])
                await until(lambda: len(inbox.deliveries) == 2)

        run(test)

    def test_a_message_that_is_too_large_is_refused_and_the_rest_go_on(self, broker: BrokerOnTrial) -> None:
        inbox = Mailbox()

        async def test() -> None:
            async with (
                opened(broker.transport("orders", sends=[Charge])) as orders,
                opened(broker.transport("payments", listens=[Charge]), inbox),
            ):
                first, second, third = await insist(orders, [charge(1), padded(2, broker.largest), charge(3)])
                assert (first, third) == (None, None)
                assert second is not None
                assert "bytes" in second
                await until(lambda: len(inbox.deliveries) == 2)

        run(test)
        assert inbox.ids == {charge(1).id: 1, charge(3).id: 1}

    def test_what_cannot_be_written_down_is_refused_and_its_neighbours_are_sent_once(
        self, broker: BrokerOnTrial
    ) -> None:
        """Sent together: a wrong time, JSON too deep, text too long; none of them means that the broker is away."""
        inbox = Mailbox()
        bad = [
            structs.replace(charge(10), time=LATEST_TIME + 1),
            structs.replace(charge(11), time=-1),
            structs.replace(charge(12), data=Raw(b"[" * 101 + b"]" * 101)),
            structs.replace(charge(13), correlation_id="a\r\nb: c"),
            structs.replace(charge(14), id="x" * 501),
            structs.replace(charge(15), causation_id="\ud800"),
            structs.replace(charge(16), step="a\0b"),
        ]
        good = [charge(number) for number in range(1 + len(bad))]
        together = [charge(0), *(one for pair in zip(bad, good[1:], strict=True) for one in pair)]

        async def test() -> None:
            async with (
                opened(broker.transport("orders", sends=[Charge])) as orders,
                opened(broker.transport("payments", listens=[Charge]), inbox),
            ):
                outcomes = await insist(orders, together)
                assert [outcomes[together.index(one)] for one in good] == [None] * len(good)
                assert all(outcomes[together.index(one)] for one in bad)
                await insist(orders, [charge(20)])
                await until(lambda: len(inbox.ids) == len(good) + 1)

        run(test)
        assert inbox.ids == {one.id: 1 for one in [*good, charge(20)]}

    def test_ids_and_times_at_the_edge_of_what_is_taken_arrive_as_they_were_sent(self, broker: BrokerOnTrial) -> None:
        """Invariant 7: if two ids became equal on the way, two messages would count as one."""
        inbox = Mailbox()
        ids = [
            "a%2Fb",
            "a/b",
            "A%2fb",
            "a+b",
            "a b",
            "a%20b",
            "é",
            "%C3%A9",
            "\N{PARTY POPPER}",
            '"a"',
            "a\\b",
            "#",
            "%",
        ]
        sent = [structs.replace(charge(number), id=one, correlation_id=one) for number, one in enumerate(ids)]
        sent += [structs.replace(charge(20), time=EARLIEST_TIME), structs.replace(charge(21), time=LATEST_TIME)]
        sent += [structs.replace(charge(22), id="x" * 500, data=Raw(b"[" * 100 + b"]" * 100))]

        async def test() -> None:
            async with (
                opened(broker.transport("orders", sends=[Charge])) as orders,
                opened(broker.transport("payments", listens=[Charge]), inbox),
            ):
                assert await insist(orders, sent) == [None] * len(sent)
                await until(lambda: len(inbox.deliveries) == len(sent))

        run(test)
        arrived = {
            one.id: one
            for one in (decode(each.attributes, each.body, 0, "wire") for each in inbox.deliveries)
            if isinstance(one, Envelope)
        }
        assert set(arrived) == {one.id for one in sent}
        for one in sent:
            found = arrived[one.id]
            assert (found.time, found.correlation_id, found.data) == (one.time, one.correlation_id, one.data)

    def test_it_opens_and_closes_while_the_broker_is_away(self, broker: BrokerOnTrial) -> None:
        async def test() -> None:
            broker.kill()
            async with opened(broker.transport("orders", sends=[Charge])) as orders:
                try:
                    await orders.send([charge(1)])
                except TransportUnavailable:
                    return
                raise AssertionError("nobody can have acknowledged this")

        run(test)

    def test_the_connection_and_the_subscription_come_back_by_themselves(self, broker: BrokerOnTrial) -> None:
        inbox = Mailbox()

        async def test() -> None:
            broker.kill()
            async with (
                opened(broker.transport("orders", sends=[Charge])) as orders,
                opened(broker.transport("payments", listens=[Charge]), inbox),
            ):
                for number in range(3):
                    broker.start()
                    await insist(orders, [charge(number)])
                    await until(partial(has, inbox, number + 1))
                    broker.kill()

        run(test)

    def test_nothing_is_lost_when_the_broker_is_killed_in_the_middle(self, broker: BrokerOnTrial) -> None:
        """Invariants 5 and 7, as far as a broker goes: at least once."""
        inbox = Mailbox()

        async def test() -> None:
            async with (
                opened(broker.transport("orders", sends=[Charge])) as orders,
                opened(broker.transport("payments", listens=[Charge]), inbox),
            ):
                await insist(orders, [charge(0)])
                for batch in range(5):
                    sending = asyncio.ensure_future(
                        insist(orders, [charge(batch * 100 + number) for number in range(100)])
                    )
                    await until(partial(has, inbox, batch * 100 + 1))
                    broker.kill()
                    broker.start()
                    await sending
                await until(lambda: len(inbox.ids) == 500)

        run(test)

    def test_closing_waits_for_what_is_being_received(self, broker: BrokerOnTrial) -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def slowly(incoming: Incoming) -> Receipt:
            begun.set()
            await asyncio.sleep(0.05)
            ended.set()
            return TAKEN

        async def test() -> None:
            async with opened(broker.transport("orders", sends=[Charge])) as orders:
                async with opened(broker.transport("payments", listens=[Charge]), slowly):
                    await insist(orders, [charge(1)])
                    await begun.wait()
                assert ended.is_set()

        run(test)
