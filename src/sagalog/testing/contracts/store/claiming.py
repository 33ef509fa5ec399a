"""The part of the store contract about claiming: what is due, to whom it goes, in which order, and only once."""

from collections.abc import Callable, Sequence
from itertools import chain

from sagalog.store import Append, Store
from sagalog.testing.contracts.store.appending import at_once
from sagalog.testing.contracts.store.message_samples import event, for_saga, published, put
from sagalog.testing.contracts.store.samples import DEFINITION, NOW, SECOND, ending, following, lease, start


def claimed(store: Store, worker_id: str, now: int = NOW, limit: int = 100) -> list[str]:
    """Return the ids of the sagas that a worker gets after dead workers were freed."""
    store.free(now)
    return [row.saga_id for row in store.claim(worker_id, [DEFINITION], now, limit)]


def working(store: Store, *worker_ids: str) -> None:
    """Begin the leases of these workers."""
    for worker_id in worker_ids:
        store.register(lease(worker_id))


def ids(appends: Sequence[Append]) -> list[str]:
    """Return the ids of these sagas."""
    return [one.saga_id for one in appends]


class ClaimingContract:
    """Claims."""

    def test_a_due_saga_is_given_to_the_worker_that_asks(self, store: Store) -> None:
        working(store, "w1")
        begun = start()
        store.append([begun])
        [row] = store.claim("w1", [DEFINITION], NOW, 10)
        assert (row.saga_id, row.owner) == (begun.saga_id, "w1")
        assert store.status(begun.saga_id) == row
        assert store.append([following(begun, holder="w1")]) == ["written"]

    def test_those_that_a_worker_leaves_to_others_are_not_given_to_it(self, store: Store) -> None:
        working(store, "w1", "w2")
        left, mailed, other = start(), start(due_at=None), start()
        store.append([left, mailed, other])
        [place] = published(store, event())
        put(store, for_saga(place, mailed.saga_id))
        but = ids([left, mailed])
        assert [row.saga_id for row in store.claim("w1", [DEFINITION], NOW, 10, but)] == ids([other])
        assert store.claim("w1", [DEFINITION], NOW, 10, but) == []
        assert sorted(claimed(store, "w2")) == sorted(but)

    def test_what_is_due_can_be_claimed_without_what_has_mail(self, store: Store) -> None:
        working(store, "w1")
        left, mailed, later, other = start(), start(due_at=None), start(due_at=NOW + 1), start(due_at=NOW - 1)
        store.append([left, mailed, later, other])
        [place] = published(store, event())
        put(store, for_saga(place, mailed.saga_id))
        [row] = store.claim_due("w1", [DEFINITION], NOW, 10, [left.saga_id])
        assert (row.saga_id, row.owner) == (other.saga_id, "w1")
        assert store.status(other.saga_id) == row
        assert store.claim_due("w1", [DEFINITION], NOW, 10, [left.saga_id]) == []
        assert [row.saga_id for row in store.claim_due("w1", [DEFINITION], NOW + 1, 1)] == ids([left])
        assert store.claim_due("w1", ["other"], NOW + 1, 10) == []

    def test_nothing_is_given_while_nothing_is_due(self, store: Store) -> None:
        working(store, "w1")
        later, ended, stuck, owned = start(due_at=NOW + 1), start(), start(), start(owner="w1")
        store.append([later, ended, stuck, owned, start(due_at=None)])
        store.append([ending(ended), ending(stuck, "stuck")])
        assert claimed(store, "w1") == []
        assert claimed(store, "w1", NOW + 1) == ids([later])

    def test_a_claimed_saga_is_not_given_again(self, store: Store, peer: Store) -> None:
        working(store, "w1", "w2")
        store.append([start() for _ in range(3)])
        assert len(claimed(store, "w1")) == 3
        assert claimed(store, "w1") == claimed(peer, "w2") == []

    def test_a_saga_whose_definition_is_not_loaded_is_never_given(self, store: Store) -> None:
        """Invariant 41."""
        working(store, "w1")
        mine, other = start(), start(definition="other")
        store.append([start(definition="unloaded"), mine, other])
        assert claimed(store, "w1") == ids([mine])
        assert store.claim("w1", [], NOW, 10) == []
        assert [row.saga_id for row in store.claim("w1", [DEFINITION, "other"], NOW, 10)] == ids([other])

    def test_the_oldest_due_come_first_and_no_more_than_asked_for(self, store: Store) -> None:
        working(store, "w1")
        sagas = [start(due_at=NOW - offset, definition=DEFINITION) for offset in (3, 1, 5, 2, 4)]
        store.append(sagas)
        by_age = ids(sorted(sagas, key=lambda one: one.status.due_at or 0))
        assert claimed(store, "w1", limit=2) == by_age[:2]
        assert claimed(store, "w1", limit=2) == by_age[2:4]
        assert claimed(store, "w1", limit=2) == by_age[4:]

    def test_the_oldest_due_come_first_across_definitions(self, store: Store) -> None:
        working(store, "w1")
        sagas = [start(due_at=NOW - offset, definition=f"d{offset % 2}") for offset in (1, 2, 3, 4)]
        store.append(sagas)
        given = store.claim("w1", ["d0", "d1"], NOW, 3)
        assert [row.saga_id for row in given] == ids(sagas[::-1])[:3]

    def test_two_workers_are_never_given_the_same_saga(self, store: Store, peer: Store) -> None:
        """Invariant 35."""
        workers = [f"w{number}" for number in range(6)]
        working(store, *workers)
        sagas = [start() for _ in range(200)]
        store.append(sagas)

        def work(side: Store, worker_id: str) -> Callable[[], list[str]]:
            def loop() -> list[str]:
                mine: list[str] = []
                idle = 0
                while idle < 3 and len(mine) <= len(sagas):
                    got = claimed(side, worker_id, limit=7)
                    mine += got
                    idle = 0 if got else idle + 1
                return mine

            return loop

        sides = [store, peer] * 3
        given = at_once([work(side, worker_id) for side, worker_id in zip(sides, workers, strict=True)])
        assert sorted(chain.from_iterable(given)) == sorted(ids(sagas))
        rows = store.statuses(ids(sagas))
        for worker_id, mine in zip(workers, given, strict=True):
            assert all(rows[saga_id].owner == worker_id for saga_id in mine)

    def test_one_saga_is_given_whether_it_is_due_or_not(self, store: Store) -> None:
        working(store, "w1", "w2")
        waiting, running = start(due_at=NOW + SECOND), start(owner="w2")
        store.append([waiting, running])
        assert store.claim_one("w1", waiting.saga_id, NOW) is True
        assert store.claim_one("w1", waiting.saga_id, NOW) is True
        assert store.claim_one("w2", waiting.saga_id, NOW) is False
        assert store.claim_one("w1", running.saga_id, NOW) is False
        row = store.status(waiting.saga_id)
        assert row is not None
        assert (row.owner, row.due_at, row.version) == ("w1", NOW + SECOND, 1)

    def test_a_saga_that_is_not_there_is_given_to_nobody(self, store: Store) -> None:
        assert store.claim_one("w1", start().saga_id, NOW) is False

    def test_an_append_that_waits_for_a_retry_is_due_when_the_retry_is(self, store: Store) -> None:
        """Invariant 33."""
        working(store, "w1")
        begun = start(owner="w1")
        waits = following(begun, holder="w1", owner=None, due_at=NOW + 30 * SECOND)
        store.append([begun, waits])
        assert claimed(store, "w1", NOW + 30 * SECOND - 1) == []
        store.register(lease("w1", NOW + 60 * SECOND))
        assert claimed(store, "w1", NOW + 30 * SECOND) == ids([begun])
