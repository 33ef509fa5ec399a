"""The part of the store contract about writing: once per key, at the expected version, by the owner, all or nothing."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any, TypeVar

from msgspec.structs import replace

from sagalog.store import Append, Store, StoredEvent
from sagalog.testing.contracts.store.samples import (
    NOW,
    SECOND,
    ending,
    following,
    lease,
    sample_event,
    sample_id,
    start,
    step,
)

LARGEST_PAYLOAD = 256 * 1024
TRICKY_TEXT = "Straße 你好 🙂 \"quoted\" 'apostrophe' back\\slash {brace} %s $1 ; -- /* NULL \\N é\u202e"

Result = TypeVar("Result")


def at_once(calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """Make all calls at the same moment, each in its own thread, and return their results in order."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], Result]) -> Result:
        barrier.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result(60) for future in [threads.submit(run, call) for call in calls]]


def stream_of(store: Store, append: Append) -> list[tuple[int, str, bytes]]:
    """Return the stored events of an append's saga."""
    return [(event.version, event.topic, event.state) for event in store.read(append.saga_id)]


def numbered(*appends: Append) -> list[tuple[int, str, bytes]]:
    """Return the events of these appends in the form in which they must be stored."""
    return [(number, *event) for number, event in enumerate((e for one in appends for e in one.events), 1)]


class AppendingContract:
    """Appends: what is written, and what is refused."""

    def test_a_start_is_written_with_its_event_and_its_row(self, store: Store) -> None:
        begun = start(owner="w1", causation_id="the-cause")
        assert store.append([begun]) == ["written"]
        assert stream_of(store, begun) == numbered(begun)
        [event] = store.read(begun.saga_id)
        assert store.status(begun.saga_id) == replace(begun.status, position=event.position)

    def test_a_decision_is_written_with_its_events_its_row_and_its_steps(self, store: Store) -> None:
        """Invariant 5: one commit."""
        begun = start()
        store.append([begun])
        rows = [step(begun.saga_id, "reserve_inventory"), step(begun.saga_id, "process_payment", 2, status="retrying")]
        decided = following(
            begun,
            sample_event("StepSucceeded"),
            sample_event("StepFailed"),
            steps=rows,
            status="pending",
            current_step="process_payment",
            waiting_for="retry of process_payment",
            waiting_until=NOW + 5,
            attempt=2,
            error_type="CardDeclined",
            error_text="no cover",
            due_at=NOW + 5,
        )
        assert store.append([decided]) == ["written"]
        assert stream_of(store, begun) == numbered(begun, decided)
        last = store.read(begun.saga_id)[-1].position
        assert store.status(begun.saga_id) == replace(decided.status, position=last)
        assert store.steps(begun.saga_id) == [replace(row, position=last) for row in rows]

    def test_appends_of_any_shape_are_written_in_one_batch(self, store: Store) -> None:
        """Invariants 5 and 47: with as many events and steps as there may be, also from the start."""
        shapes = [(events, steps) for events in range(1, 8) for steps in range(7)]
        begun, decided = [start() for _ in shapes], list[Append]()
        for one, (events, steps) in zip(begun, shapes, strict=True):
            rows = [step(one.saga_id, f"step-{number}", number) for number in range(1, steps + 1)]
            decided.append(following(one, *(sample_event("StepSucceeded") for _ in range(events)), steps=rows))
        starts = [
            replace(one, events=event.events, status=replace(one.status, version=len(event.events)), steps=event.steps)
            for one, event in zip(begun, decided, strict=True)
        ]
        moved = [following(one, sample_event("SagaCompleted"), steps=one.steps[-1:]) for one in starts]
        for batch in (starts, moved):
            assert store.append(batch) == ["written"] * len(batch)
        for one, then in zip(starts, moved, strict=True):
            stored = store.read(one.saga_id)
            assert [(event.version, event.topic, event.state) for event in stored] == numbered(one, then)
            first, last = stored[len(one.events) - 1].position, stored[-1].position
            assert [event.position for event in stored[:-1]] == list(range(stored[0].position, first + 1))
            assert store.status(one.saga_id) == replace(then.status, position=last)
            expected = [replace(row, position=first) for row in one.steps[:-1]]
            expected += [replace(row, position=last) for row in one.steps[-1:]]
            assert store.steps(one.saga_id) == expected

    def test_a_deadline_that_was_moved_or_taken_away_is_in_the_row(self, store: Store) -> None:
        one, two = start(), start()
        store.append([one, two])
        moved = following(one, deadline_at=NOW + 90 * SECOND)
        assert store.append([moved, following(two, deadline_at=None)]) == ["written", "written"]
        found = store.statuses([one.saga_id, two.saga_id])
        assert [found[each.saga_id].deadline_at for each in (one, two)] == [NOW + 90 * SECOND, None]

    def test_a_step_row_replaces_the_one_before(self, store: Store) -> None:
        begun = start()
        first = following(begun, steps=[step(begun.saga_id, "reserve_inventory", status="retrying", result=None)])
        second = following(first, steps=[step(begun.saga_id, "reserve_inventory", attempts=2)])
        store.append([begun])
        store.append([first])
        store.append([second])
        last = store.read(begun.saga_id)[-1].position
        assert store.steps(begun.saga_id) == [replace(second.steps[0], position=last)]

    def test_rows_show_the_position_of_the_last_event_they_reflect(self, store: Store) -> None:
        """Invariant 47."""
        sagas = [start() for _ in range(5)]
        store.append(sagas)
        more = [following(one, steps=[step(one.saga_id, "reserve_inventory")]) for one in sagas]
        store.append(more)
        for one in sagas:
            last = store.read(one.saga_id)[-1].position
            row = store.status(one.saga_id)
            assert row is not None
            assert (row.position, [each.position for each in store.steps(one.saga_id)]) == (last, [last])

    def test_an_empty_batch_writes_nothing(self, store: Store) -> None:
        assert store.append([]) == []
        assert store.read_log(0, 10) == []

    def test_a_second_start_with_the_same_key_says_exists_and_changes_nothing(self, store: Store) -> None:
        """Invariant 1."""
        first, second = start("order-1"), start("order-1")
        assert store.append([first]) == ["written"]
        before = store.status(first.saga_id)
        assert store.append([second]) == ["exists"]
        assert (store.status(first.saga_id), store.status(second.saga_id)) == (before, None)
        assert (len(store.read_log(0, 10)), store.read(second.saga_id)) == (1, [])

    def test_a_key_belongs_to_one_saga_name_and_one_run(self, store: Store) -> None:
        """Invariants 1 and 2."""
        starts = [start("k"), start("k", saga="returns"), start("k", run=2), start("k", run=2), start("K")]
        assert store.append(starts) == ["written", "written", "written", "exists", "written"]

    def test_two_starts_of_one_key_in_one_batch_make_one_saga(self, store: Store) -> None:
        """Invariant 1."""
        starts = [start("same") for _ in range(3)]
        assert store.append(starts) == ["written", "exists", "exists"]
        assert len(store.read_log(0, 10)) == 1

    def test_one_key_started_at_the_same_moment_from_many_sides_makes_one_saga(self, store: Store, peer: Store) -> None:
        """Invariant 1."""
        keys = [f"order-{number}" for number in range(10)]

        def start_all(one: Store) -> list[tuple[str, str]]:
            batch = [start(key) for key in keys]
            outcomes = one.append(batch)
            return [(append.status.saga_key, outcome) for append, outcome in zip(batch, outcomes, strict=True)]

        told = at_once([partial(start_all, one) for one in (store, peer) * 4])
        written = [key for batch in told for key, outcome in batch if outcome == "written"]
        assert sorted(written) == sorted(keys)
        assert {outcome for batch in told for _, outcome in batch} == {"written", "exists"}
        assert len(store.read_log(0, 100)) == len(keys)

    def test_a_conflict_fails_only_its_own_append(self, store: Store) -> None:
        """Invariant 35."""
        fine, old, owned, unowned, taken = [start(), start(), start(owner="w1"), start(), start("key")]
        store.append([fine, old, owned, unowned, taken])
        newer = following(old)
        store.append([newer])
        batch = [
            following(fine, steps=[step(fine.saga_id, "reserve_inventory")]),
            following(old, steps=[step(old.saga_id, "reserve_inventory")]),
            following(owned, holder="w2", steps=[step(owned.saga_id, "reserve_inventory")]),
            following(unowned, holder="w1", steps=[step(unowned.saga_id, "reserve_inventory")]),
            start("key"),
            start(),
            following(start()),
        ]
        outcomes = store.append(batch)
        assert outcomes == ["written", "conflict", "conflict", "conflict", "exists", "written", "conflict"]
        assert stream_of(store, fine) == numbered(fine, batch[0])
        assert stream_of(store, old) == numbered(old, newer)
        assert stream_of(store, owned) == numbered(owned)
        assert stream_of(store, unowned) == numbered(unowned)
        assert [len(store.steps(one.saga_id)) for one in batch] == [1, 0, 0, 0, 0, 0, 0]
        assert store.read(batch[6].saga_id) == []
        assert store.status(batch[6].saga_id) is None

    def test_only_the_owner_may_append(self, store: Store) -> None:
        """Invariant 35."""
        mine = start(owner="w1")
        store.append([mine])
        assert store.append([following(mine, holder=None)]) == ["conflict"]
        assert store.append([following(mine, holder="w2")]) == ["conflict"]
        assert store.append([following(mine, holder="w1")]) == ["written"]

    def test_an_append_passes_the_saga_on_to_the_owner_it_names(self, store: Store) -> None:
        mine = start(owner="w1")
        given_up = following(mine, holder="w1", owner=None)
        resumed = following(given_up, holder=None, owner="w2")
        assert store.append([mine]) == store.append([given_up]) == store.append([resumed]) == ["written"]
        row = store.status(mine.saga_id)
        assert row is not None
        assert row.owner == "w2"

    def test_of_many_appends_at_one_version_one_is_written(self, store: Store, peer: Store) -> None:
        """Invariant 35: no lost update, no gap."""
        begun = start()
        store.append([begun])
        before = begun
        for _ in range(5):
            rivals = [following(before) for _ in range(6)]
            sides = [store, peer] * 3
            calls = [partial(side.append, [one]) for one, side in zip(rivals, sides, strict=True)]
            outcomes = [outcome for told in at_once(calls) for outcome in told]
            assert sorted(outcomes) == ["conflict"] * 5 + ["written"]
            before = rivals[outcomes.index("written")]
        stored = store.read(begun.saga_id)
        assert [event.version for event in stored] == [1, 2, 3, 4, 5, 6]

    def test_several_appends_of_one_saga_in_one_batch_are_written_in_their_order(self, store: Store) -> None:
        begun = start()
        second = following(begun)
        third = ending(second)
        assert store.append([begun, start(), second, third]) == ["written"] * 4
        assert stream_of(store, begun) == numbered(begun, second, third)

    def test_of_two_rivals_in_one_batch_the_first_is_written(self, store: Store) -> None:
        """Invariant 35."""
        begun = start()
        store.append([begun])
        rivals = [following(begun), following(begun)]
        assert store.append(rivals) == ["written", "conflict"]
        assert stream_of(store, begun) == numbered(begun, rivals[0])

    def test_a_start_whose_acknowledgement_was_lost_is_written_once(self, store: Store) -> None:
        """Invariant 7."""
        begun = start("order-1", owner="w1")
        assert store.append([begun]) == store.append([begun]) == ["written"]
        assert store.append([begun, start()]) == ["written", "written"]
        assert stream_of(store, begun) == numbered(begun)

    def test_a_decision_whose_acknowledgement_was_lost_is_written_once(self, store: Store) -> None:
        """Invariant 7."""
        begun = start(owner="w1")
        decided = following(begun, sample_event("StepFailed"), sample_event("SagaFailed"), holder="w1", owner=None)
        store.append([begun])
        assert store.append([decided]) == store.append([decided]) == ["written"]
        assert stream_of(store, begun) == numbered(begun, decided)

    def test_an_acknowledgement_lost_long_ago_is_still_recognised(self, store: Store) -> None:
        """Invariant 7: by then somebody else may own the saga and have gone on."""
        begun = start()
        second = following(begun)
        third = following(second, owner="w2")
        store.append([begun, second, third])
        assert store.append([begun]) == store.append([second]) == ["written"]
        assert stream_of(store, begun) == numbered(begun, second, third)

    def test_other_events_at_the_same_version_are_a_conflict(self, store: Store) -> None:
        """Invariant 35."""
        begun = start()
        first, second = sample_event("StepSucceeded"), sample_event("StepSucceeded")
        written = following(begun, first)
        store.append([begun, written])
        assert store.append([following(begun, second)]) == ["conflict"]
        assert store.append([following(begun, first, second)]) == ["conflict"]
        assert store.append([replace(begun, events=[second])]) == ["conflict"]
        assert stream_of(store, begun) == numbered(begun, written)

    def test_text_and_json_come_back_as_they_were(self, store: Store) -> None:
        begun = start(f"key {TRICKY_TEXT}", saga=f"saga {TRICKY_TEXT}", correlation_id=TRICKY_TEXT)
        result = '{"b": 1.0, "a":  [1, 2],"text":"' + TRICKY_TEXT.replace("\\", "\\\\").replace('"', '\\"') + '"}'
        rows = [step(begun.saga_id, TRICKY_TEXT, result=result, error_type="E", error_text=TRICKY_TEXT)]
        event = sample_event("StepSucceeded", result=TRICKY_TEXT)
        decided = following(begun, event, steps=rows, current_step=TRICKY_TEXT, error_text=TRICKY_TEXT)
        assert store.append([begun, decided]) == ["written", "written"]
        assert stream_of(store, begun) == numbered(begun, decided)
        [row] = store.steps(begun.saga_id)
        assert replace(row, position=0) == rows[0]
        status = store.status(begun.saga_id)
        assert status is not None
        assert replace(status, position=0) == decided.status

    def test_the_largest_payload_comes_back_whole(self, store: Store) -> None:
        begun = start()
        largest = '"' + "ä🙂" * (LARGEST_PAYLOAD // 6) + '"'
        decided = following(
            begun, ("sagalog.StepSucceeded.1", largest.encode()), steps=[step(begun.saga_id, "s", result=largest)]
        )
        assert store.append([begun, decided]) == ["written", "written"]
        assert stream_of(store, begun) == numbered(begun, decided)
        assert store.steps(begun.saga_id)[0].result == largest

    def test_a_thousand_appends_fit_in_one_batch(self, store: Store) -> None:
        starts = [start(owner="w1") for _ in range(1000)]
        assert store.append(starts) == ["written"] * 1000
        more = [following(one, holder="w1", steps=[step(one.saga_id, "reserve_inventory")]) for one in starts]
        assert store.append(more) == ["written"] * 1000
        assert [event.saga_id for event in store.read_log(0, 3000)] == [one.saga_id for one in starts] * 2

    def test_the_log_holds_each_batch_whole_or_not_at_all(self, store: Store, peer: Store) -> None:
        """Invariant 5: a reader never sees a part of a batch."""
        batches = [[start() for _ in range(20)] for _ in range(10)]
        seen: list[int] = []

        def write() -> None:
            for batch in batches:
                store.append(batch)

        def look() -> None:
            while not seen or seen[-1] < 200:
                seen.append(len(peer.read_log(0, 1000)))

        at_once([write, look])
        assert all(number % 20 == 0 for number in seen)

    def test_ending_a_saga_keeps_its_history(self, store: Store) -> None:
        """Invariant 52."""
        for status in ("completed", "failed", "stuck"):
            begun = start(owner="w1")
            ended = ending(begun, status, holder="w1")
            assert store.append([begun, ended]) == ["written", "written"]
            assert stream_of(store, begun) == numbered(begun, ended)

    def test_everything_is_there_after_closing_and_opening_again(self, store: Store) -> None:
        begun = start("order-1", owner="w1")
        decided = following(begun, holder="w1", steps=[step(begun.saga_id, "reserve_inventory")])
        store.register(lease("w1"))
        store.append([begun, decided, start()])

        def everything() -> tuple[Any, ...]:
            log: list[StoredEvent] = store.read_log(0, 100)
            return log, store.status(begun.saga_id), store.steps(begun.saga_id), store.counts()

        before = everything()
        store.close()
        store.open()
        assert everything() == before
        assert store.append([start("order-1")]) == ["exists"]
        assert store.append([decided]) == ["written"]
        assert store.renew("w1", NOW)
        assert store.claim_one("w2", sample_id(), NOW) is False
