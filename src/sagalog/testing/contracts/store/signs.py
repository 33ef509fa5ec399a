"""The part of the store contract about signs of life: seen while a worker's process is there, and gone with it."""

from collections.abc import Sequence
from threading import Event

from sagalog.store import HeldLease, Store
from sagalog.testing.contracts.store.claiming import claimed, ids, working
from sagalog.testing.contracts.store.samples import NOW, SECOND, lease, start

END = NOW + 10 * SECOND
# So many workers are looked at, at least.
FEW = 8
# How often it is looked whether somebody is gone by now, with pauses of 10 ms.
LOOKS = 500


class SignContract:
    """Signs of life; set `signs` to False for a store that cannot tell whether a process is there."""

    signs = True

    def die(self, store: Store, worker_ids: Sequence[str]) -> None:
        """Let the process of these workers die, which have `store` to themselves: what it held is gone with it."""
        store.close()

    def silent(self, peer: Store, near: str = "", but: Sequence[str] = ()) -> list[str]:
        """Return whose sign of life is gone, once those of `but` are: a server needs a moment to notice."""
        for _ in range(LOOKS):
            if set(but) <= {one.lease.worker_id for one in peer.free(NOW, (), near)}:
                break
            Event().wait(0.01)
        return [one.lease.worker_id for one in peer.free(NOW, (), near)]

    def gone(self, peer: Store, *worker_ids: str, near: str = "") -> bool:
        """Tell whether just these workers are seen to be gone; nobody is on a store without signs of life."""
        expected = self.expected(*worker_ids)
        return self.silent(peer, near, expected) == expected

    def expected(self, *worker_ids: str) -> list[str]:
        """Return these workers if a store has signs of life."""
        return list(worker_ids) if self.signs else []

    def test_a_worker_whose_process_is_there_is_seen_to_live(self, store: Store, peer: Store) -> None:
        working(store, "w1")
        assert store.shows_life("w1") is True
        assert self.silent(peer) == self.silent(store) == []
        assert store.renew("w1", END) is True
        assert self.silent(peer) == []

    def test_a_worker_whose_process_has_died_is_seen_to_be_gone_at_once(self, store: Store, peer: Store) -> None:
        working(store, "w1", "w2")
        begun = lease("w1")
        working(peer, "w3")
        self.die(store, ["w1", "w2"])
        assert self.gone(peer, "w1", "w2")
        found = peer.free(NOW)
        if self.signs:
            assert found[0].lease == HeldLease("w1", begun.lease_until, begun.lease_until - begun.started_at)
            assert (found[0].host, found[0].pid) == (begun.host, begun.pid)

    def test_who_is_seen_to_be_gone_has_its_lease_until_somebody_ends_it(self, store: Store, peer: Store) -> None:
        working(store, "w1")
        begun = start(owner="w1")
        store.append([begun])
        working(peer, "w2")
        self.die(store, ["w1"])
        assert self.gone(peer, "w1")
        assert claimed(peer, "w2") == []
        for one in peer.free(NOW):
            peer.end_lease(one.lease)
        assert claimed(peer, "w2", NOW if self.signs else END) == ids([begun])
        assert self.silent(peer) == []

    def test_a_sign_that_is_there_makes_no_lease_longer(self, store: Store, peer: Store) -> None:
        working(store, "w1")
        begun = start(owner="w1")
        store.append([begun])
        peer.register(lease("w2", END + 60 * SECOND))
        assert claimed(peer, "w2", END) == ids([begun])
        assert store.renew("w1", END + SECOND) is False

    def test_a_worker_that_begins_is_seen_to_live_before_it_renews_its_lease(self, store: Store, peer: Store) -> None:
        for number in range(5):
            store.register(lease(f"w{number}"))
            assert self.silent(peer) == []

    def test_a_worker_that_leaves_is_not_looked_for(self, store: Store, peer: Store) -> None:
        working(store, "w1")
        store.release("w1")
        self.die(store, ())
        assert self.silent(peer) == []

    def test_a_worker_goes_on_under_another_name_and_the_sign_of_the_old_one_ends(
        self, store: Store, peer: Store
    ) -> None:
        working(store, "w1", "w2")
        store.end_sign("w1")
        assert self.gone(peer, "w1")
        assert store.shows_life("w2") is True
        store.end_sign("nobody")

    def test_nobody_is_told_of_itself(self, store: Store, peer: Store) -> None:
        """Whoever has lost its own sign finds that out by itself."""
        working(store, "w1", "w2")
        self.die(store, ["w1", "w2"])
        assert self.gone(peer, "w2", near="w1")

    def test_in_a_large_fleet_those_next_by_name_are_looked_at_and_after_the_last_the_first(
        self, store: Store, peer: Store
    ) -> None:
        names = [f"w{number:02}" for number in range(3 * FEW)]
        working(store, *names)
        self.die(store, names)
        near = names[2 * FEW]
        following = self.expected(*names[2 * FEW + 1 :], *names[:1])
        found = self.silent(peer, near, following)
        assert set(following) <= set(found)
        assert near not in found
        assert len(found) < len(names)

    def test_many_that_look_at_once_do_not_take_one_another_for_the_living(self, store: Store, peer: Store) -> None:
        working(store, "w1")
        self.die(store, ["w1"])
        assert all(self.gone(peer, "w1") for _ in range(3))
