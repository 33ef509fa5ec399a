"""The part of the store contract about consumers: one reader at a time, and one write for each batch."""

from functools import partial
from threading import Event

from msgspec.structs import replace

from sagalog.store import (
    Advance,
    ConsumerRow,
    InboxRow,
    Note,
    Posting,
    Route,
    Store,
    UnmatchedQuery,
    UnmatchedRow,
)
from sagalog.testing.contracts.store.appending import TRICKY_TEXT, at_once
from sagalog.testing.contracts.store.claiming import claimed, working
from sagalog.testing.contracts.store.leases import calls_hint
from sagalog.testing.contracts.store.message_samples import (
    PAYMENTS,
    asking_at_once,
    event,
    for_saga,
    ids_of,
    posted,
    published,
    put,
    requesting,
    unmatched,
    waiting,
)
from sagalog.testing.contracts.store.samples import NOW, SECOND, following, lease, start

END = NOW + 10 * SECOND
SAGAS, CARRIER = "saga:order-fulfilment", "transport:carrier"


def positions(store: Store) -> dict[str, int]:
    """Return the position of each consumer."""
    return {row.consumer: row.position for row in store.consumers()}


class ConsumerContract:
    """Consumers, routes, and messages that nobody could take."""

    hints = True

    def test_a_new_consumer_begins_at_the_start_of_the_log_or_at_its_end(self, store: Store) -> None:
        working(store, "w1")
        [place] = published(store, event())
        assert store.take_consumers("w1", [SAGAS], NOW, False) == [ConsumerRow(SAGAS, 0, "w1", NOW)]
        assert store.take_consumers("w1", [PAYMENTS], NOW, True) == [ConsumerRow(PAYMENTS, place[0], "w1", NOW)]
        assert store.take_consumers("w1", [SAGAS, PAYMENTS], NOW, True) == store.consumers()
        assert positions(store) == {PAYMENTS: place[0], SAGAS: 0}

    def test_a_consumer_belongs_to_one_worker(self, store: Store, peer: Store) -> None:
        working(store, "w1", "w2")
        assert len(store.take_consumers("w1", [SAGAS, PAYMENTS], NOW, False)) == 2
        assert peer.take_consumers("w2", [SAGAS, PAYMENTS, CARRIER], NOW, False) == [ConsumerRow(CARRIER, 0, "w2", NOW)]
        assert [row.consumer for row in store.take_consumers("w1", [CARRIER, SAGAS], NOW, False)] == [SAGAS]
        assert store.take_consumers("w1", [], NOW, False) == []

    def test_of_workers_that_race_for_consumers_each_consumer_gets_one(self, store: Store, peer: Store) -> None:
        names = [f"saga:{number}" for number in range(12)]
        workers = [f"w{number}" for number in range(6)]
        working(store, *workers)

        def take(side: Store, worker_id: str) -> list[str]:
            chosen = names if worker_id < "w3" else names[::-1]
            for begin in range(0, 12, 3):
                side.take_consumers(worker_id, chosen[begin : begin + 3], NOW, False)
            return [row.consumer for row in side.take_consumers(worker_id, names, NOW, False)]

        given = at_once([partial(take, *one) for one in zip([store, peer] * 3, workers, strict=True)])
        assert sorted(name for each in given for name in each) == sorted(names)

    def test_a_dead_workers_consumers_are_given_after_its_lease_and_not_before(self, store: Store) -> None:
        working(store, "w1")
        store.register(lease("w2", END + SECOND))
        store.take_consumers("w1", [SAGAS], NOW, False)
        assert store.take_consumers("w2", [SAGAS], END - 1, False) == []
        assert store.take_consumers("w2", [SAGAS], END, False) == [ConsumerRow(SAGAS, 0, "w2", END)]
        assert store.route(Route([Advance(SAGAS, "w1", 0, 0)])) == "conflict"
        assert store.route(Route([Advance(SAGAS, "w2", 0, 0)])) == "written"
        # Losing a consumer means losing the lease, so its owner finds out.
        assert store.renew("w1", END + 10 * SECOND) is False

    def test_a_lost_lease_frees_consumers_as_it_frees_sagas(self, store: Store) -> None:
        working(store, "w1")
        store.register(lease("w2", END + SECOND))
        store.take_consumers("w1", [SAGAS, PAYMENTS], NOW, False)
        assert claimed(store, "w2", END) == []
        assert [row.consumer for row in store.take_consumers("w2", [PAYMENTS], END, False)] == [PAYMENTS]
        # A worker may take a consumer after its lease was taken, before it found out.
        assert len(store.take_consumers("w1", [SAGAS], END, False)) == 1
        assert [row.owner for row in store.take_consumers("w2", [SAGAS, PAYMENTS], END, False)] == ["w2", "w2"]

    def test_a_worker_that_leaves_gives_its_consumers_back(self, store: Store) -> None:
        working(store, "w1", "w2")
        store.take_consumers("w1", [SAGAS], NOW, False)
        store.take_consumers("w2", [PAYMENTS], NOW, False)
        store.release("w1", [start().saga_id])
        assert [row.owner for row in store.consumers()] == ["w2", "w1"]
        store.release("w1")
        assert [row.owner for row in store.consumers()] == ["w2", None]

    def test_consumers_that_are_given_back_are_free_at_once_and_those_of_others_are_not(self, store: Store) -> None:
        working(store, "w1", "w2")
        store.take_consumers("w1", [SAGAS, CARRIER], NOW, False)
        store.take_consumers("w2", [PAYMENTS], NOW, False)
        store.release_consumers("w1", [SAGAS, PAYMENTS, "saga:unknown"])
        store.release_consumers("w1", [])
        assert {row.consumer: row.owner for row in store.consumers()} == {PAYMENTS: "w2", SAGAS: None, CARRIER: "w1"}
        # A write that a worker began before it gave the consumer back is refused.
        assert store.route(Route([Advance(SAGAS, "w1", 0, 0)])) == "conflict"
        assert len(store.take_consumers("w2", [SAGAS, CARRIER], NOW, False)) == 1

    def test_a_route_is_written_with_all_it_made_of_the_batch(self, store: Store) -> None:
        """Invariants 5 and 44: the position moves together with the results of the messages."""
        working(store, "w1")
        store.take_consumers("w1", [SAGAS, PAYMENTS], NOW, False)
        messages = published(store, event("m-1"), event("m-2", correlation_id="c-2"), event("m-3"))
        head = messages[-1][0]
        begun, running = start("o-1", owner="w1"), start("o-2", owner="w1")
        store.append([running])
        made, lost = event("m-4"), unmatched(messages[2], SAGAS)
        route = Route(
            [Advance(SAGAS, "w1", 0, head), Advance(PAYMENTS, "w1", 0, head)],
            starts=[asking_at_once(begun)],
            inbox=[waiting(messages[0]), for_saga(messages[1], running.saga_id)],
            messages=[made],
            parked=[lost],
        )
        assert store.route(route) == "written"
        assert positions(store) == {SAGAS: head, PAYMENTS: head}
        assert store.status(begun.saga_id) is not None
        assert ids_of(store.inbox(PAYMENTS, NOW, 9)) == ["m-1"]
        assert ids_of(store.mail("w1", 9)) == ["m-2"]
        assert store.find_message("m-4") == store.read_messages(head, 9)[-1]
        assert store.unmatched(UnmatchedQuery()) == [lost]
        assert len(store.commands_of(begun.saga_id)) == 1
        assert store.find_message(route.starts[0].messages[0][1].id) is not None

    def test_a_route_from_another_position_or_owner_is_a_conflict_and_writes_nothing(self, store: Store) -> None:
        """Invariant 7: a worker that does not know yet that another took over repeats nothing."""
        working(store, "w1", "w2")
        store.take_consumers("w1", [SAGAS], NOW, False)
        store.take_consumers("w2", [PAYMENTS], NOW, False)
        [place] = published(store, event())
        row = unmatched(place)
        for advances in (
            [Advance(SAGAS, "w2", 0, place[0])],
            [Advance(SAGAS, "w1", 1, place[0])],
            [Advance(SAGAS, "w1", 0, place[0]), Advance(PAYMENTS, "w1", 0, place[0])],
            [Advance("saga:unknown", "w1", 0, place[0])],
        ):
            begun = start()
            results = Route(advances, [asking_at_once(begun)], [waiting(place)], [event("new")], [row])
            assert store.route(results) == "conflict"
            assert store.status(begun.saga_id) is None
            assert (store.inbox(PAYMENTS, NOW, 9), store.find_message("new")) == ([], None)
            assert (store.unmatched(UnmatchedQuery()), store.commands_of(begun.saga_id)) == ([], [])
        assert positions(store) == {SAGAS: 0, PAYMENTS: 0}

    def test_a_route_that_starts_a_saga_whose_key_is_taken_writes_nothing(self, store: Store) -> None:
        """Invariant 1: the loser looks the key up again."""
        working(store, "w1")
        store.take_consumers("w1", [SAGAS], NOW, False)
        [place] = published(store, event())
        store.append([start("taken")])
        advances = [Advance(SAGAS, "w1", 0, place[0])]
        for starts in ([start("new"), start("taken")], [start("twice"), start("twice")]):
            assert store.route(Route(advances, starts, [waiting(place)], [event("new")])) == "exists"
            assert (store.inbox(PAYMENTS, NOW, 9), store.find_message("new")) == ([], None)
            assert [store.status(one.saga_id) for one in starts] == [None, None]
        assert positions(store) == {SAGAS: 0}
        assert store.route(Route(advances, [start("new")])) == "written"

    def test_a_route_whose_acknowledgement_was_lost_is_a_conflict_and_doubles_nothing(self, store: Store) -> None:
        """Invariant 7: the positions show that it was written."""
        working(store, "w1")
        store.take_consumers("w1", [SAGAS], NOW, False)
        messages = published(store, event(), event())
        begun = start()
        route = Route(
            [Advance(SAGAS, "w1", 0, messages[1][0])],
            starts=[begun],
            inbox=[waiting(messages[0]), for_saga(messages[1], begun.saga_id)],
            messages=[event("new")],
        )
        assert store.route(route) == "written"
        store.post([Posting(taken=(PAYMENTS, messages[0][1].id))])
        before = store.read_log(0, 99)
        assert store.route(route) == "conflict"
        assert positions(store) == {SAGAS: messages[1][0]}
        assert store.inbox(PAYMENTS, NOW, 9) == []
        assert store.read_log(0, 99) == before

    def test_a_message_put_into_an_inbox_again_stays_as_it_is(self, store: Store) -> None:
        """Invariant 7: a command that was sent again while its first delivery is being tried."""
        [place] = published(store, event())
        put(store, waiting(place))
        tried = waiting(place, attempts=2, due_at=NOW + 5, error_type="Busy")
        store.post([Posting(retry=tried)])
        put(store, waiting(place), waiting(place))
        assert store.inbox(PAYMENTS, NOW + 5, 9) == [(tried, place[1])]

    def test_of_two_that_route_the_same_batch_one_is_written(self, store: Store, peer: Store) -> None:
        """Invariants 7 and 44."""
        working(store, "w1")
        store.take_consumers("w1", [SAGAS], NOW, False)
        messages = published(store, *[event(correlation_id=f"c-{number}") for number in range(30)])
        place = 0
        for one in messages:

            def route(side: Store, begin: int = place, one: tuple[int, object] = one) -> str:
                new = Route([Advance(SAGAS, "w1", begin, one[0])], [start(f"key-{one[0]}")], messages=[event()])
                return side.route(new)

            assert sorted(at_once([partial(route, side) for side in (store, peer, store)])) == [
                "conflict",
                "conflict",
                "written",
            ]
            place = one[0]
        assert len(store.read_messages(messages[-1][0], 99)) == 30
        assert store.counts() == [("order-fulfilment", "started", 30)]

    def test_a_saga_started_by_a_route_may_be_told_something_by_it(self, store: Store) -> None:
        working(store, "w1")
        store.take_consumers("w1", [SAGAS], NOW, False)
        first, second = published(store, event(), event())
        begun = start(owner="w1")
        inbox = [for_saga(second, begun.saga_id)]
        assert store.route(Route([Advance(SAGAS, "w1", 0, second[0])], [begun], inbox)) == "written"
        assert ids_of(store.mail("w1", 9)) == [second[1].id]
        assert first[0] < second[0]

    def test_a_batch_of_a_thousand_is_routed_at_once(self, store: Store) -> None:
        working(store, "w1")
        store.take_consumers("w1", [SAGAS], NOW, False)
        messages = published(store, *[event(correlation_id=f"c-{number}") for number in range(1000)])
        starts = [start() for _ in range(500)]
        inbox: list[InboxRow] = [waiting(one) for one in messages]
        rows: list[UnmatchedRow] = [unmatched(one) for one in messages[:300]]
        route = Route([Advance(SAGAS, "w1", 0, messages[-1][0])], starts, inbox, [event() for _ in range(500)], rows)
        assert store.route(route) == "written"
        assert len(store.inbox(PAYMENTS, NOW, 2000)) == 1000
        assert len(store.unmatched(UnmatchedQuery(limit=1000))) == 300

    def test_unmatched_messages_are_listed_newest_first_in_pages(self, store: Store) -> None:
        places = published(store, *[event(name=f"Name{number % 2}") for number in range(6)])
        rows = [unmatched(one, unmatched_id=f"u-{number}") for number, one in enumerate(places)]
        odd = unmatched(places[0], PAYMENTS, unmatched_id="u-9", reason=TRICKY_TEXT, message=TRICKY_TEXT, position=None)
        store.post([Posting(parked=row) for row in [*rows, odd]])
        assert store.unmatched(UnmatchedQuery()) == [odd, *rows[::-1]]
        assert store.unmatched(UnmatchedQuery(before="u-4", limit=2)) == [rows[3], rows[2]]
        assert store.unmatched(UnmatchedQuery(name="Name1")) == [rows[5], rows[3], rows[1]]
        assert store.unmatched(UnmatchedQuery(consumer=PAYMENTS)) == [odd]
        assert store.unmatched(UnmatchedQuery(correlation_id=rows[2].correlation_id, unmatched_id="u-2")) == [rows[2]]
        assert store.unmatched(UnmatchedQuery(correlation_id="another")) == []
        assert store.unmatched(UnmatchedQuery(unmatched_id="u-7")) == []
        store.settle_unmatched("u-0", "discarded", "ann", "no", NOW)
        assert store.unmatched(UnmatchedQuery(statuses=["discarded"]))[0].unmatched_id == "u-0"
        assert len(store.unmatched(UnmatchedQuery(statuses=()))) == 7
        assert len(store.unmatched(UnmatchedQuery(statuses=["parked", "discarded"]))) == 7

    def test_a_message_that_nobody_can_take_again_keeps_its_row(self, store: Store) -> None:
        [place] = published(store, event())
        first, second = unmatched(place), unmatched(place, reason="another")
        store.post([Posting(parked=first), Posting(parked=second)])
        assert store.unmatched(UnmatchedQuery()) == [replace(second, unmatched_id=first.unmatched_id)]
        store.settle_unmatched(first.unmatched_id, "discarded", "ann", "no", NOW)
        store.post([Posting(parked=second)])
        assert store.unmatched(UnmatchedQuery()) == [replace(second, unmatched_id=first.unmatched_id)]

    def test_a_message_is_settled_once_and_only_while_it_is_parked(self, store: Store, peer: Store) -> None:
        """Invariant 49."""
        [place] = published(store, event())
        row = unmatched(place)
        store.post([Posting(parked=row)])
        assert store.settle_unmatched("u-none", "discarded", "ann", "no", NOW) is False
        calls = [
            partial(side.settle_unmatched, row.unmatched_id, "discarded", "ann", "no", NOW) for side in (store, peer)
        ]
        assert sorted(at_once(calls)) == [False, True]
        [settled] = store.unmatched(UnmatchedQuery(statuses=["discarded"]))
        assert settled == replace(row, status="discarded", actor="ann", settled_reason="no", settled_at=NOW)

    def test_a_message_to_be_redelivered_is_routed_again_once(self, store: Store) -> None:
        """Invariant 7: also after a lost acknowledgement."""
        working(store, "w1")
        places = published(store, event("m-1"), event("m-2"))
        begun = start(owner="w1")
        store.append([begun])
        rows = [unmatched(one, SAGAS, unmatched_id=f"u-{number}") for number, one in enumerate(places)]
        other = unmatched(places[0], CARRIER)
        store.post([Posting(parked=row) for row in [*rows, other]])
        for row in [*rows, other]:
            assert store.settle_unmatched(row.unmatched_id, "redelivering", "ann", "now", NOW) is True
        waits = store.redelivering([SAGAS, "saga:none"], 9)
        assert [row.unmatched_id for row in waits] == ["u-0", "u-1"]
        assert [row.message for row in waits] == ["", ""]
        assert store.redelivering([SAGAS], 1) == waits[:1]
        assert store.redelivering([SAGAS], 1, waits[0].unmatched_id) == waits[1:]
        [owned] = store.take_consumers("w1", [SAGAS], NOW, True)
        stay = [Advance(SAGAS, "w1", owned.position, owned.position)]
        again = Route(stay, inbox=[for_saga(places[0], begun.saga_id)], redelivered=["u-0"])
        assert store.route(again) == "written"
        assert ids_of(store.mail("w1", 9)) == ["m-1"]
        store.append([replace(following(begun, holder="w1"), taken=["m-1"])])
        assert store.route(again) == "conflict"
        assert store.mail("w1", 9) == []
        assert [row.unmatched_id for row in store.redelivering([SAGAS], 9)] == ["u-1"]

    def test_a_redelivered_message_that_is_unmatched_again_is_parked_again(self, store: Store) -> None:
        """Invariant 4: never dropped."""
        working(store, "w1")
        [place] = published(store, event())
        row = unmatched(place, SAGAS)
        store.post([Posting(parked=row)])
        store.settle_unmatched(row.unmatched_id, "redelivering", "ann", "now", NOW)
        [owned] = store.take_consumers("w1", [SAGAS], NOW, True)
        stay = [Advance(SAGAS, "w1", owned.position, owned.position)]
        parked = unmatched(place, SAGAS, reason="still nobody")
        assert store.route(Route(stay, parked=[parked], redelivered=[row.unmatched_id])) == "written"
        assert store.unmatched(UnmatchedQuery()) == [replace(parked, unmatched_id=row.unmatched_id)]

    def test_somebody_who_watches_is_called_when_there_is_something_to_route_or_to_take(
        self, store: Store, peer: Store
    ) -> None:
        if not self.hints:
            return
        called = Event()
        stop = peer.watch(called.set)
        try:
            assert calls_hint(called, lambda: store.post([posted(event())]))
            begun = start(owner="w1")
            store.append([begun])
            asked = requesting(begun, holder="w1")
            assert calls_hint(called, lambda: store.append([asked]))
            [place] = published(store, event())
            assert calls_hint(called, lambda: put(store, waiting(place)))
            telling = replace(following(asked, holder="w1"), notes=[Note(begun.saga_id, event(kind="note"))])
            assert calls_hint(called, lambda: store.append([telling]))
            store.post([Posting(parked=unmatched(place, unmatched_id="u-1"))])
            assert calls_hint(called, lambda: store.settle_unmatched("u-1", "redelivering", "ann", "now", NOW))
        finally:
            stop()

    def test_everything_of_messages_is_there_after_closing_and_opening_again(self, store: Store) -> None:
        working(store, "w1")
        begun = start(owner="w1")
        store.append([begun])
        asked = requesting(begun, holder="w1")
        store.append([asked])
        [place] = published(store, event())
        put(store, waiting(place), for_saga(place, begun.saga_id))
        store.post([Posting(parked=unmatched(place))])

        def all_there() -> object:
            return (
                store.read_messages(0, 99),
                store.commands_of(begun.saga_id),
                store.consumers(),
                store.mail("w1", 9),
                store.inbox(PAYMENTS, NOW, 9),
                store.unmatched(UnmatchedQuery()),
            )

        before = all_there()
        store.close()
        store.open()
        assert all_there() == before
