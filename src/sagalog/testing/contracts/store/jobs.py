"""The part of the store contract about bulk jobs: each has its sagas once, and one worker at a time."""

from collections.abc import Sequence
from functools import partial

import pytest
from msgspec.structs import replace

from sagalog.errors import InvalidIdentifier
from sagalog.saga.failure import LONGEST_TEXT
from sagalog.store import JobItemRow, JobRow, Store
from sagalog.store.jobs import JOB_ITEM_STATUSES, JOB_STATUSES, JobItemStatus
from sagalog.testing.contracts.store.appending import TRICKY_TEXT, at_once
from sagalog.testing.contracts.store.claiming import claimed, working
from sagalog.testing.contracts.store.samples import NOW, SECOND, lease, sample_id

END = NOW + 10 * SECOND


def sample_job(**columns: object) -> JobRow:
    """Return a job whose id sorts after all earlier ones."""
    row = JobRow(
        job_id=sample_id(),
        verb="retry",
        act='{"step": null}',
        filter="status=stuck error~timeout",
        actor="ada",
        reason="the gateway is back",
        status="preparing",
        why=None,
        canary=10,
        rate=2.5,
        stop_after=3,
        sagas=0,
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(row, **columns)


def prepared(store: Store, *saga_ids: str, **columns: object) -> str:
    """Add a job with these sagas, and return its id."""
    row = sample_job(**columns)
    store.add_job(row)
    assert store.add_items(row.job_id, saga_ids) is True
    return row.job_id


def running(store: Store, *saga_ids: str) -> str:
    """Add a job with these sagas that runs, and return its id."""
    job_id = prepared(store, *saga_ids)
    assert store.change_job(job_id, "running", None, NOW, ["preparing"]) is True
    return job_id


def taken(store: Store, worker_id: str, now: int = NOW) -> str | None:
    """Return the id of the job that a worker gets, which is the one that it sees before."""
    seen = store.takeable_job(worker_id, now)
    row = store.take_job(worker_id, now)
    assert row is None or (row.owner, row.status, row) == (worker_id, "running", store.job(row.job_id))
    assert (seen and replace(seen, owner=worker_id)) == row
    return None if row is None else row.job_id


def items(store: Store, job_id: str, *statuses: JobItemStatus) -> list[tuple[int, str, str]]:
    """Return number, saga and status of items; without statuses, of all."""
    found = store.job_items(job_id, statuses or JOB_ITEM_STATUSES, 100_000)
    return [(item.number, item.saga_id, item.status) for item in found]


def settled(job_id: str, number: int, status: JobItemStatus, text: str | None = None, at: int = NOW) -> JobItemRow:
    """Return an item with a new status; its saga is not looked at."""
    return JobItemRow(job_id, number, "", status, text, at)


class JobContract:
    """Bulk jobs."""

    def test_a_job_is_kept_as_it_was_asked_for(self, store: Store, peer: Store) -> None:
        texts = dict.fromkeys(("verb", "act", "filter", "actor", "reason"), TRICKY_TEXT)
        for row in (sample_job(), sample_job(rate=None, canary=0, stop_after=2**40), sample_job(rate=0.1, **texts)):
            store.add_job(row)
            assert peer.job(row.job_id) == row
        assert store.job("unknown") is None

    def test_a_job_begins_without_items_and_without_an_owner(self, store: Store) -> None:
        row = sample_job()
        store.add_job(replace(row, status="running", why="because", sagas=7, owner="w1"))
        assert store.job(row.job_id) == row

    def test_a_job_that_is_added_again_stays_as_it_is(self, store: Store) -> None:
        """Invariant 7: as after a lost acknowledgement."""
        row = sample_job()
        store.add_job(row)
        store.add_items(row.job_id, ["s-1"])
        store.change_job(row.job_id, "running", None, NOW + 1, ["preparing"])
        before = store.job(row.job_id)
        store.add_job(row)
        store.add_job(replace(row, reason="another"))
        assert store.job(row.job_id) == before == replace(row, status="running", sagas=1, updated_at=NOW + 1)

    def test_a_text_that_no_store_can_keep_is_refused(self, store: Store) -> None:
        for text in ("a\0b", "\ud800"):
            with pytest.raises(InvalidIdentifier, match=r"JobRow\.reason: no store can keep NUL or lone surrogates"):
                store.add_job(sample_job(reason=text))
            job_id = prepared(store, "s-1", text, "s-2")
            assert items(store, job_id) == [(1, "s-1", "pending"), (2, "s-2", "pending")]
            assert store.job(text) is None
            assert store.add_items(text, ["s-1"]) is store.change_job(text, "done", None, NOW, JOB_STATUSES) is False
            assert (store.job_items(text, ["pending"], 9), store.job_counts([text])) == ([], {text: {}})
            store.release_job("w1", text)

    def test_each_saga_is_in_a_job_once_in_the_order_in_which_they_were_added(self, store: Store) -> None:
        job_id = prepared(store, "s-3", "s-1", "s-3", "s-2")
        other = prepared(store, "s-2", "s-9")
        assert store.add_items(job_id, ["s-2", "s-5", "s-1", "s-4"]) is True
        assert store.add_items(job_id, []) is True
        expected = ["s-3", "s-1", "s-2", "s-5", "s-4"]
        assert store.job_items(job_id, ["pending"], 9) == [
            JobItemRow(job_id, number, saga_id, "pending") for number, saga_id in enumerate(expected, 1)
        ]
        assert [row.sagas for row in store.jobs(9)] == [2, 5]
        assert items(store, other) == [(1, "s-2", "pending"), (2, "s-9", "pending")]

    def test_items_that_are_added_again_are_not_doubled(self, store: Store) -> None:
        """Invariant 7: as after a lost acknowledgement."""
        job_id = prepared(store, "s-1", "s-2")
        before = items(store, job_id), store.job(job_id)
        assert store.add_items(job_id, ["s-1", "s-2"]) is True
        assert (items(store, job_id), store.job(job_id)) == before

    def test_items_are_added_only_while_a_job_is_being_prepared(self, store: Store) -> None:
        job_id = prepared(store, "s-1")
        for status in JOB_STATUSES[1:]:
            assert store.change_job(job_id, status, None, NOW, JOB_STATUSES) is True
            assert store.add_items(job_id, ["s-2"]) is False
        assert store.add_items("unknown", ["s-2"]) is False
        row = store.job(job_id)
        assert row is not None
        assert (row.sagas, items(store, job_id)) == (1, [(1, "s-1", "pending")])
        assert items(store, "unknown") == []

    def test_several_that_add_items_at_once_number_them_without_gaps(self, store: Store, peer: Store) -> None:
        job_id = prepared(store)
        shares = [[f"s-{number}" for number in range(begin, begin + 40)] for begin in range(0, 120, 20)]

        def add(side: Store, share: Sequence[str]) -> bool:
            return all(side.add_items(job_id, share[begin : begin + 10]) for begin in range(0, 40, 10))

        assert all(at_once([partial(add, *one) for one in zip([store, peer] * 3, shares, strict=True)]))
        found = items(store, job_id)
        assert [number for number, _, _ in found] == list(range(1, 141))
        assert {saga_id for _, saga_id, _ in found} == {f"s-{number}" for number in range(140)}
        row = store.job(job_id)
        assert row is not None
        assert row.sagas == 140

    def test_the_status_of_a_job_changes_only_from_an_expected_one(self, store: Store, peer: Store) -> None:
        job_id = prepared(store, "s-1")
        assert store.change_job(job_id, "paused", "lunch", NOW + 1, ["running"]) is False
        assert store.change_job(job_id, "running", None, NOW + 1, []) is False
        assert store.change_job(job_id, "running", None, NOW + 1, ["preparing", "paused"]) is True
        # As after a lost acknowledgement: the job tells that it was written.
        assert store.change_job(job_id, "running", None, NOW + 1, ["preparing", "paused"]) is False
        assert peer.change_job(job_id, "stopped", TRICKY_TEXT, NOW + 2, ["running"]) is True
        assert store.change_job("unknown", "done", None, NOW, JOB_STATUSES) is False
        row = store.job(job_id)
        assert row is not None
        assert (row.status, row.why, row.created_at, row.updated_at) == ("stopped", TRICKY_TEXT, NOW, NOW + 2)
        assert store.change_job(job_id, "running", None, NOW + 3, ["stopped"]) is True
        row = store.job(job_id)
        assert row is not None
        assert row.why is None

    def test_of_two_that_change_a_job_from_one_status_one_does(self, store: Store, peer: Store) -> None:
        for _ in range(20):
            job_id = running(store, "s-1")
            stop = partial(store.change_job, job_id, "stopped", "too many failures", NOW, ["running"])
            end = partial(peer.change_job, job_id, "done", None, NOW, ["running"])
            assert sorted(at_once([stop, end])) == [False, True]

    def test_jobs_are_listed_newest_first_in_pages(self, store: Store) -> None:
        ids = [prepared(store) for _ in range(5)][::-1]
        assert [row.job_id for row in store.jobs(9)] == ids
        assert [row.job_id for row in store.jobs(2)] == ids[:2]
        assert [row.job_id for row in store.jobs(2, ids[1])] == ids[2:4]
        assert store.jobs(2, ids[4]) == store.jobs(0) == []

    def test_a_job_is_given_to_the_worker_that_asks_and_to_no_other(self, store: Store, peer: Store) -> None:
        working(store, "w1", "w2")
        assert taken(store, "w1") is None
        job_id = running(store, "s-1")
        assert taken(store, "w1") == job_id
        assert taken(peer, "w2") is None
        # As after a lost acknowledgement, and at the next look.
        assert taken(store, "w1") == job_id

    def test_a_look_for_a_job_takes_nothing(self, store: Store, peer: Store) -> None:
        working(store, "w1")
        peer.register(lease("w2", END + 60 * SECOND))
        job_id = running(store, "s-1")
        row = store.job(job_id)
        assert row is not None
        assert store.takeable_job("w1", NOW) == peer.takeable_job("w2", NOW) == store.job(job_id) == row
        assert taken(store, "w1") == job_id
        assert (store.takeable_job("w1", NOW), peer.takeable_job("w2", END - 1)) == (replace(row, owner="w1"), None)
        # Nor does it end the lease of the dead, from whom it could be taken.
        assert peer.takeable_job("w2", END) == replace(row, owner="w1")
        assert store.renew("w1", END + 10 * SECOND) is True

    def test_the_oldest_job_is_given_first_and_only_what_runs(self, store: Store) -> None:
        working(store, "w1", "w2", "w3")
        prepared(store, "s-1")
        for status in JOB_STATUSES[2:]:
            assert store.change_job(running(store, "s-1"), status, None, NOW, ["running"])
        first, second = running(store, "s-1"), running(store, "s-1")
        assert [taken(store, worker_id) for worker_id in ("w1", "w2", "w3")] == [first, second, None]

    def test_a_job_that_does_not_run_is_kept_by_its_owner_until_it_is_given_back(self, store: Store) -> None:
        """Its worker may be in the middle of a saga: nobody else goes on meanwhile."""
        working(store, "w1", "w2")
        job_id = running(store, "s-1")
        assert taken(store, "w1") == job_id
        store.change_job(job_id, "paused", "lunch", NOW, ["running"])
        assert taken(store, "w1") is taken(store, "w2") is None
        store.change_job(job_id, "running", None, NOW, ["paused"])
        assert taken(store, "w2") is None
        store.release_job("w2", job_id)
        assert taken(store, "w2") is None
        store.release_job("w1", job_id)
        store.release_job("w1", job_id)
        store.release_job("w1", "unknown")
        assert taken(store, "w2") == job_id

    def test_a_dead_workers_job_is_given_after_its_lease_and_not_before(self, store: Store, peer: Store) -> None:
        working(store, "w1")
        peer.register(lease("w2", END + 60 * SECOND))
        job_id = running(store, "s-1")
        assert taken(store, "w1") == job_id
        assert taken(peer, "w2", END - 1) is None
        assert taken(peer, "w2", END) == job_id
        # Losing a job means losing the lease, so its owner finds out.
        assert store.renew("w1", END + 10 * SECOND) is False
        assert taken(store, "w1", END) is None

    def test_a_lease_that_was_renewed_keeps_the_job(self, store: Store, peer: Store) -> None:
        working(store, "w1")
        peer.register(lease("w2", END + 60 * SECOND))
        job_id = running(store, "s-1")
        taken(store, "w1")
        assert store.renew("w1", END + 10 * SECOND) is True
        assert taken(peer, "w2", END + 1) is None
        assert taken(peer, "w2", END + 10 * SECOND) == job_id

    def test_a_lost_lease_frees_jobs_as_it_frees_sagas(self, store: Store) -> None:
        working(store, "w1")
        store.register(lease("w2", END + 60 * SECOND))
        job_id = running(store, "s-1")
        taken(store, "w1")
        assert claimed(store, "w2", END) == []
        # A worker may take a job after its lease was taken, before it found out.
        assert taken(store, "w1", END) == job_id
        assert taken(store, "w2", END) == job_id

    def test_whoever_takes_a_job_does_not_end_the_lease_of_the_living(self, store: Store) -> None:
        working(store, "w1")
        store.register(lease("w2", END + 60 * SECOND))
        store.register(lease("w3", END + 60 * SECOND))
        first, second = running(store, "s-1"), running(store, "s-1")
        assert [taken(store, "w1"), taken(store, "w2"), taken(store, "w3", END)] == [first, second, first]
        assert store.renew("w2", END + 90 * SECOND) is True

    def test_a_worker_that_leaves_gives_its_jobs_back(self, store: Store) -> None:
        working(store, "w1", "w2", "w3")
        mine, other = running(store, "s-1"), running(store, "s-1")
        assert [taken(store, "w1"), taken(store, "w2")] == [mine, other]
        store.release("w1", [])
        assert taken(store, "w3") is None
        store.release("w1")
        assert [row.owner for row in store.jobs(9)] == ["w2", None]
        assert taken(store, "w3") == mine
        assert taken(store, "w2") == other

    def test_of_workers_that_race_for_jobs_each_job_gets_one(self, store: Store, peer: Store) -> None:
        """Invariant 35, for jobs."""
        working(store, "dead")
        workers = [f"w{number}" for number in range(6)]
        for worker_id in workers:
            store.register(lease(worker_id, END + 60 * SECOND))
        for _ in range(5):
            jobs = [running(store, "s-1") for _ in range(4)]
            # Taken by one that dies: the oldest comes back with its owner.
            assert taken(store, "dead") == jobs[0]
            sides = zip([store, peer] * 3, workers, strict=True)
            raced = at_once([partial(side.take_job, worker_id, END) for side, worker_id in sides])
            given = [None if row is None else row.job_id for row in raced]
            given += [taken(store, worker_id, END) for worker_id in workers]
            assert sorted({one for one in given if one is not None}) == jobs
            assert [taken(store, worker_id, END) for worker_id in workers].count(None) == 2
            for job_id in jobs:
                store.change_job(job_id, "done", None, END, ["running"])
            working(store, "dead")

    def test_items_are_settled_with_what_became_of_them(self, store: Store, peer: Store) -> None:
        job_id = prepared(store, *[f"s-{number}" for number in range(1, 6)])
        other = prepared(store, "s-1")
        store.settle_items([settled(job_id, 2, "acted"), settled(job_id, 4, "refused", TRICKY_TEXT, NOW + 5)])
        store.settle_items(
            [settled(job_id, 5, "well"), settled(other, 1, "failed", "again"), settled(job_id, 9, "well")]
        )
        store.settle_items([settled("unknown", 1, "well")])
        store.settle_items([])
        assert peer.job_items(job_id, ["refused", "acted"], 9) == [
            JobItemRow(job_id, 2, "s-2", "acted", None, NOW),
            JobItemRow(job_id, 4, "s-4", "refused", TRICKY_TEXT, NOW + 5),
        ]
        assert items(store, job_id, "pending", "pending") == [(1, "s-1", "pending"), (3, "s-3", "pending")]
        assert (items(store, job_id, "failed"), store.job_items(job_id, [], 9)) == ([], [])
        assert store.job_counts([job_id, other, "unknown"]) == {
            job_id: {"pending": 2, "acted": 1, "refused": 1, "well": 1},
            other: {"failed": 1},
            "unknown": {},
        }
        assert store.job_counts([]) == {}

    def test_items_are_settled_again_without_harm(self, store: Store) -> None:
        """Invariant 7: as after a lost acknowledgement, and what comes late undoes nothing."""
        job_id = prepared(store, "s-1", "s-2", "s-3")
        for _ in range(2):
            store.settle_items([settled(job_id, 1, "acted"), settled(job_id, 2, "acted")])
        store.settle_items([settled(job_id, 1, "well", at=NOW + 1), settled(job_id, 2, "failed", "stuck", NOW + 1)])
        before = store.job_items(job_id, JOB_ITEM_STATUSES, 9)
        for late in JOB_ITEM_STATUSES[:3]:
            store.settle_items([settled(job_id, number, late) for number in (1, 2)])
        assert store.job_items(job_id, JOB_ITEM_STATUSES, 9) == before
        store.settle_items([settled(job_id, 3, "well", "first"), settled(job_id, 3, "acted", "second")])
        assert store.job_items(job_id, ["well"], 9)[1:] == [JobItemRow(job_id, 3, "s-3", "well", "first", NOW)]

    def test_texts_that_say_why_are_cut_and_written_so_that_they_can_be_kept(self, store: Store) -> None:
        job_id = prepared(store, "s-1")
        text = "a\0b \ud800 " + "é" * 2 * LONGEST_TEXT
        kept = "a\\x00b \\ud800 " + "é" * 2 * LONGEST_TEXT
        store.settle_items([settled(job_id, 1, "failed", text)])
        assert store.change_job(job_id, "stopped", text, NOW, ["preparing"]) is True
        [item], row = store.job_items(job_id, ["failed"], 9), store.job(job_id)
        assert row is not None
        assert item.text == row.why == kept[:LONGEST_TEXT]

    def test_items_are_read_in_pages_by_number(self, store: Store) -> None:
        job_id = prepared(store, *[f"s-{number:02}" for number in range(1, 31)])
        store.settle_items([settled(job_id, number, "acted") for number in range(3, 31, 3)])
        assert [item.number for item in store.job_items(job_id, ["acted"], 3)] == [3, 6, 9]
        assert [item.number for item in store.job_items(job_id, ["acted", "pending"], 4, 8)] == [9, 10, 11, 12]
        assert [item.number for item in store.job_items(job_id, ["acted"], 9, 24)] == [27, 30]
        assert store.job_items(job_id, ["acted"], 0) == []

    def test_a_job_of_ten_thousand_sagas_is_added_and_settled_at_once(self, store: Store) -> None:
        job_id = prepared(store, "s-00007")
        assert store.add_items(job_id, [f"s-{number:05}" for number in range(10_000)]) is True
        assert store.add_items(job_id, [f"s-{number:05}" for number in range(10_000)]) is True
        row = store.job(job_id)
        assert row is not None
        assert row.sagas == len(items(store, job_id, "pending")) == 10_000
        store.settle_items([settled(job_id, number, "acted") for number in range(1, 10_000)])
        assert store.job_counts([job_id]) == {job_id: {"acted": 9_999, "pending": 1}}
        assert items(store, job_id, "pending") == [(10_000, "s-09999", "pending")]

    def test_a_job_is_there_after_a_restart(self, store: Store) -> None:
        working(store, "w1")
        job_id = running(store, "s-1", "s-2")
        taken(store, "w1")
        store.settle_items([settled(job_id, 1, "acted")])
        before = store.job(job_id), items(store, job_id)
        store.close()
        store.open()
        assert (store.job(job_id), items(store, job_id)) == before
        assert taken(store, "w1") == job_id
