"""The part of the store contract about workers: their leases, sagas given back, dead workers, and hints."""

from functools import partial
from itertools import chain
from threading import Event

from sagalog.store import HeldLease, Store
from sagalog.testing.contracts.store.appending import at_once
from sagalog.testing.contracts.store.claiming import claimed, ids, working
from sagalog.testing.contracts.store.message_samples import event, for_saga, published, put
from sagalog.testing.contracts.store.samples import DEFINITION, NOW, SECOND, ending, following, lease, start

END = NOW + 10 * SECOND


class LeaseContract:
    """Leases and hints."""

    hints = True

    def test_a_dead_workers_sagas_are_given_to_others_after_its_lease_and_not_before(
        self, store: Store, peer: Store
    ) -> None:
        working(store, "w1")
        peer.register(lease("w2", END + 60 * SECOND))
        sagas = [start(owner="w1") for _ in range(3)]
        store.append(sagas)
        assert claimed(peer, "w2", END - 1) == []
        assert peer.claim_one("w2", sagas[0].saga_id, END - 1) is False
        assert sorted(claimed(peer, "w2", END)) == sorted(ids(sagas))
        assert store.append([following(sagas[0], holder="w1")]) == ["conflict"]
        assert store.append([following(sagas[0], holder="w2")]) == ["written"]

    def test_one_saga_of_a_dead_worker_can_be_taken_over(self, store: Store) -> None:
        working(store, "w1")
        begun = start(owner="w1", due_at=END + SECOND)
        store.append([begun])
        assert store.claim_one("w2", begun.saga_id, END - 1) is False
        assert store.claim_one("w2", begun.saga_id, END) is True
        row = store.status(begun.saga_id)
        assert row is not None
        assert row.owner == "w2"

    def test_a_dead_workers_sagas_that_wait_are_given_when_they_are_due(self, store: Store) -> None:
        """Invariant 33."""
        working(store, "w1")
        store.register(lease("w2", END + 60 * SECOND))
        begun = start(owner="w1", due_at=END + SECOND)
        store.append([begun])
        assert claimed(store, "w2", END) == []
        assert claimed(store, "w2", END + SECOND) == ids([begun])

    def test_more_sagas_of_a_dead_worker_than_are_freed_at_once_are_all_given_in_the_end(self, store: Store) -> None:
        working(store, "w1")
        store.register(lease("w2", END + 60 * SECOND))
        sagas = [start(owner="w1") for _ in range(2500)]
        store.append(sagas)
        given: list[str] = []
        for _ in range(40):
            given += claimed(store, "w2", END, 200)
        assert sorted(given) == sorted(ids(sagas))

    def test_a_lease_that_is_renewed_holds(self, store: Store) -> None:
        working(store, "w1", "w2")
        store.append([start(owner="w1")])
        assert store.renew("w1", END + 10 * SECOND) is True
        store.register(lease("w2", END + 60 * SECOND))
        assert claimed(store, "w2", END + 1) == []
        assert len(claimed(store, "w2", END + 10 * SECOND)) == 1

    def test_a_lease_says_how_long_it_is_whatever_it_was_renewed_to(self, store: Store, peer: Store) -> None:
        began = lease("w1")
        store.register(began)
        length = began.lease_until - began.started_at
        assert peer.leases() == [HeldLease("w1", began.lease_until, length)]
        store.renew("w1", END + 3600 * SECOND)
        assert peer.leases() == [HeldLease("w1", END + 3600 * SECOND, length)]

    def test_a_lease_that_is_ended_is_lost_as_if_it_had_run_out(self, store: Store, peer: Store) -> None:
        working(store, "w1")
        begun = start(owner="w1")
        store.append([begun])
        store.renew("w1", END + 3600 * SECOND)
        seen = peer.leases()
        peer.register(lease("w2", END + 60 * SECOND))
        peer.end_lease(seen[0])
        assert claimed(peer, "w2", END) == ids([begun])
        assert store.renew("w1", END + 3600 * SECOND) is False

    def test_a_lease_that_was_renewed_since_it_was_seen_is_not_ended(self, store: Store, peer: Store) -> None:
        working(store, "w1")
        seen = peer.leases()
        assert store.renew("w1", END + SECOND) is True
        peer.end_lease(seen[0])
        assert store.renew("w1", END + 2 * SECOND) is True

    def test_a_worker_whose_lease_was_taken_away_is_told(self, store: Store, peer: Store) -> None:
        working(store, "w1")
        peer.register(lease("w2", END + 60 * SECOND))
        assert store.renew("never registered", END) is False
        store.append([start(owner="w1")])
        claimed(peer, "w2", END)
        assert store.renew("w1", END + 10 * SECOND) is False

    def test_whoever_loses_one_saga_loses_the_lease(self, store: Store, peer: Store) -> None:
        """Otherwise it would go on as the owner of what another worker has, and its writes would be refused."""
        working(store, "w1")
        begun, other = start(owner="w1", due_at=END + SECOND), start(owner="w1")
        store.append([begun, other])
        assert peer.claim_one("w2", begun.saga_id, END) is True
        assert store.renew("w1", END + 10 * SECOND) is False
        assert peer.claim_one("w2", other.saga_id, END) is True

    def test_whoever_loses_some_of_very_many_sagas_loses_the_lease(self, store: Store) -> None:
        working(store, "w1")
        store.register(lease("w2", END + 60 * SECOND))
        store.append([start(owner="w1") for _ in range(1500)])
        assert len(claimed(store, "w2", END)) == 100
        assert store.renew("w1", END + 10 * SECOND) is False

    def test_a_late_renewal_counts_if_nobody_noticed(self, store: Store) -> None:
        working(store, "w1")
        assert store.renew("w1", END + 20 * SECOND) is True

    def test_a_saga_of_a_worker_without_a_lease_is_not_lost(self, store: Store) -> None:
        """A worker that counts as dead may have begun a saga before it found out."""
        store.register(lease("w1", NOW))
        store.register(lease("w2", END))
        claimed(store, "w2", NOW)
        begun = start(owner="w1")
        store.append([begun])
        assert claimed(store, "w2", NOW + 1) == ids([begun])

    def test_a_worker_can_ask_what_it_owns(self, store: Store) -> None:
        """A claim whose answer was lost gave it sagas without its knowledge."""
        working(store, "w1", "w2")
        mine, other = start(owner="w1"), start(owner="w2")
        store.append([mine, other])
        assert store.owned("w1") == ids([mine])
        assert store.owned("nobody") == []

    def test_sagas_are_given_back_one_by_one(self, store: Store) -> None:
        working(store, "w1", "w2")
        sagas = [start(owner="w1") for _ in range(3)]
        store.append(sagas)
        store.release("w1", [sagas[0].saga_id, sagas[1].saga_id])
        assert sorted(claimed(store, "w2")) == sorted(ids(sagas[:2]))
        assert store.renew("w1", END) is True
        assert store.append([following(sagas[2], holder="w1")]) == ["written"]

    def test_a_worker_that_leaves_gives_everything_back(self, store: Store) -> None:
        working(store, "w1", "w2")
        sagas = [start(owner="w1") for _ in range(3)]
        store.append(sagas)
        store.release("w1")
        assert store.renew("w1", END) is False
        assert sorted(claimed(store, "w2")) == sorted(ids(sagas))

    def test_nobody_gives_back_what_another_owns(self, store: Store) -> None:
        working(store, "w1", "w2")
        begun = start(owner="w1")
        store.append([begun])
        store.release("w2", [begun.saga_id])
        store.release("w2")
        row = store.status(begun.saga_id)
        assert row is not None
        assert row.owner == "w1"
        store.release("w1", [])
        assert store.append([following(begun, holder="w1")]) == ["written"]

    def test_of_workers_that_race_for_a_dead_ones_sagas_each_saga_gets_one(self, store: Store, peer: Store) -> None:
        working(store, "dead")
        workers = [f"w{number}" for number in range(4)]
        for worker_id in workers:
            store.register(lease(worker_id, END + 60 * SECOND))
        sagas = [start(owner="dead") for _ in range(60)]
        store.append(sagas)
        sides = [store, peer] * 2

        def claim_twice(side: Store, worker_id: str) -> list[str]:
            return [*claimed(side, worker_id, END), *claimed(side, worker_id, END)]

        given = at_once([partial(claim_twice, *one) for one in zip(sides, workers, strict=True)])
        given.append(claimed(store, "w0", END))
        assert sorted(chain.from_iterable(given)) == sorted(ids(sagas))

    def test_somebody_who_watches_is_called_when_there_is_work_or_an_end(self, store: Store, peer: Store) -> None:
        called = Event()
        stop = peer.watch(called.set)
        try:
            if self.hints:
                assert calls_hint(called, lambda: store.append([start()]))
                begun = start(owner="w1")
                store.append([begun])
                assert calls_hint(called, lambda: store.append([following(begun, holder="w1", owner=None)]))
                mine = start(owner="w1")
                store.append([mine])
                assert calls_hint(called, lambda: store.append([ending(mine, holder="w1")]))
        finally:
            stop()
            stop()

    def test_what_is_free_to_be_claimed_and_what_the_dead_own_can_be_looked_at(self, store: Store) -> None:
        working(store, "w1")
        store.register(lease("w2", END + 60 * SECOND))
        later, dead, alive = start(due_at=END + SECOND), start(owner="w1"), start(owner="w2")
        due = [start(due_at=NOW - offset) for offset in (1, 3, 2)]
        mailed = start(due_at=None)
        store.append([later, dead, alive, *due, mailed, start(definition="other"), start(owner="nobody", due_at=None)])
        [place] = published(store, event())
        put(store, for_saga(place, mailed.saga_id), for_saga(place, alive.saga_id))
        by_age = [due[1].saga_id, due[2].saga_id, due[0].saga_id]
        assert store.due([DEFINITION], NOW, 10) == by_age
        assert store.due([DEFINITION], NOW, 2, [by_age[0]]) == by_age[1:]
        assert store.with_mail([DEFINITION], 10) == [mailed.saga_id]
        assert store.with_mail([DEFINITION], 10, [mailed.saga_id]) == store.with_mail([], 10) == []
        assert dead.saga_id not in store.lost(END - 1, 10)
        assert dead.saga_id in store.lost(END, 10)
        assert dead.saga_id not in store.lost(END, 10, [dead.saga_id])
        assert alive.saga_id not in store.lost(END, 10)
        assert all(len(store.lost(END, limit)) <= 2 * limit for limit in (0, 1))

    def test_some_sagas_of_the_dead_can_be_left_as_they_are(self, store: Store) -> None:
        working(store, "w1")
        one, other = start(owner="w1"), start(owner="w1")
        store.append([one, other])
        store.free(END, [one.saga_id])
        assert store.lost(END, 10) == [one.saga_id]
        assert store.due([DEFINITION], NOW, 10) == [other.saga_id]
        # A worker that loses one saga has lost its lease, and with it all its sagas.
        assert store.renew("w1", END + SECOND) is False

    def test_these_sagas_can_be_freed_and_those_of_the_living_stay_theirs(self, store: Store) -> None:
        working(store, "w1", "w3")
        store.register(lease("w2", END + 60 * SECOND))
        one, other, alive = start(owner="w1"), start(owner="w1"), start(owner="w2")
        store.append([one, other, alive])
        store.free_these(END - 1, [one.saga_id, alive.saga_id])
        assert store.due([DEFINITION], NOW, 10) == []
        store.free_these(END, [one.saga_id, alive.saga_id])
        assert one.saga_id in store.due([DEFINITION], NOW, 10)
        assert store.owned("w2") == [alive.saga_id]
        assert store.renew("w1", END + SECOND) is False
        assert store.renew("w2", END + 90 * SECOND) is True


def calls_hint(called: Event, write: object) -> bool:
    """Tell whether a write triggers the hint; it is tried three times, because hints may be lost."""
    assert callable(write)
    for _ in range(3):
        called.clear()
        write()
        if called.wait(5):
            return True
    return False
