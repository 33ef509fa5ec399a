"""The part of the store contract about the log: streams, their order, and readers that follow while others write."""

from collections.abc import Callable
from threading import Event

from sagalog.errors import StoreError
from sagalog.store import Store, StoredEvent
from sagalog.testing.contracts.store.appending import at_once, numbered, stream_of
from sagalog.testing.contracts.store.samples import following, sample_event, sample_id, start

# Long and short transactions together: a reader must not skip early writes of a long one when a short one commits.
WRITERS = ((200, 8), (200, 8), (1, 150), (1, 150))


class ReadingContract:
    """Streams and the log."""

    def test_a_stream_is_read_from_any_version(self, store: Store) -> None:
        begun = start()
        decided = following(begun, *[sample_event("StepSucceeded") for _ in range(4)])
        store.append([begun, decided])
        assert [event.version for event in store.read(begun.saga_id)] == [1, 2, 3, 4, 5]
        assert [event.version for event in store.read(begun.saga_id, 3)] == [4, 5]
        assert store.read(begun.saga_id, 5) == store.read(begun.saga_id, 99) == []

    def test_a_saga_that_is_not_there_has_no_events_no_row_and_no_steps(self, store: Store) -> None:
        nobody = sample_id()
        assert (store.read(nobody), store.steps(nobody)) == ([], [])
        assert (store.status(nobody), store.statuses([nobody])) == (None, {})
        assert store.latest_run("order-fulfilment", nobody) is None
        assert store.read_many([nobody]).get(nobody, []) == []

    def test_an_id_that_no_store_can_keep_is_not_found(self, store: Store) -> None:
        assert (store.read("a\0b"), store.status("a\0b"), store.latest_run("a\0b", "a\0b")) == ([], None, None)

    def test_several_streams_are_read_at_once(self, store: Store) -> None:
        sagas = [start() for _ in range(5)]
        store.append(sagas)
        more = [following(one, sample_event("StepFailed"), sample_event("StepSucceeded")) for one in sagas[:3]]
        store.append(more)
        found = store.read_many([one.saga_id for one in sagas[1:]])
        assert {saga_id: len(events) for saga_id, events in found.items() if events} == {
            sagas[1].saga_id: 3,
            sagas[2].saga_id: 3,
            sagas[3].saga_id: 1,
            sagas[4].saga_id: 1,
        }
        assert all(found[one.saga_id] == store.read(one.saga_id) for one in sagas[1:])
        assert store.read_many([]) == {}

    def test_a_store_may_be_closed_while_other_threads_read(self, peer: Store) -> None:
        peer.append([start() for _ in range(50)])
        closed = Event()

        def read() -> str:
            try:
                while not closed.is_set():
                    peer.read_log(0, 50)
            except StoreError as problem:
                return str(problem) or repr(problem)
            return "it was not closed for readers"

        def close() -> str:
            try:
                peer.close()
            finally:
                closed.set()
            return "closed"

        assert all(at_once([close, read, read, read, read]))
        peer.open()
        assert len(peer.read_log(0, 99)) == 50

    def test_the_log_is_read_in_pages_in_the_order_of_positions(self, store: Store) -> None:
        sagas = [start() for _ in range(10)]
        store.append(sagas)
        store.append([following(one, sample_event("StepFailed"), sample_event("StepSucceeded")) for one in sagas])
        after = 0
        pages: list[list[StoredEvent]] = []
        while page := store.read_log(after, 7):
            pages.append(page)
            after = page[-1].position
        log = [event for page in pages for event in page]
        assert [len(page) for page in pages] == [7, 7, 7, 7, 2]
        assert log == store.read_log(0, 1000)
        positions = [event.position for event in log]
        assert positions == sorted(set(positions))
        assert [event for event in log if event.saga_id == sagas[3].saga_id] == store.read(sagas[3].saga_id)

    def test_events_of_one_append_follow_one_another_in_the_log(self, store: Store) -> None:
        begun = [start(), start()]
        store.append(begun)
        many = [following(one, *[sample_event("StepSucceeded") for _ in range(30)]) for one in begun]
        store.append(many)
        assert [event.version for event in store.read_log(0, 100)[2:]] == [*range(2, 32)] * 2

    def test_a_reader_that_follows_the_log_skips_nothing(self, store: Store, peer: Store) -> None:
        """Invariant 43: no position is passed by an event that is committed later."""
        done = Event()
        written: list[str] = []
        seen: list[int] = []

        def write(side: Store, size: int, times: int) -> Callable[[], None]:
            def loop() -> None:
                for _ in range(times):
                    batch = [start() for _ in range(size)]
                    # A conflict in the middle: an append that is not written must leave no trace in the order.
                    side.append([*batch, following(start())])
                    written.extend(one.saga_id for one in batch)

            return loop

        def follow(side: Store) -> Callable[[], None]:
            def loop() -> None:
                after = 0
                ids: list[str] = []
                while True:
                    ended = done.is_set()
                    page = side.read_log(after, 500)
                    ids += [event.saga_id for event in page]
                    after = page[-1].position if page else after
                    if not page and ended:
                        break
                seen.append(len(ids))
                assert sorted(ids) == sorted(written)

            return loop

        def write_all() -> None:
            try:
                at_once([write((store, peer)[size == 1], size, times) for size, times in WRITERS])
            finally:
                done.set()

        at_once([write_all, follow(store), follow(peer)])
        assert seen == [sum(size * times for size, times in WRITERS)] * 2

    def test_streams_written_from_many_sides_have_no_gap(self, store: Store, peer: Store) -> None:
        """Invariant 35."""
        sagas = [start() for _ in range(4)]
        store.append(sagas)

        def grow(number: int) -> Callable[[], None]:
            def loop() -> None:
                last, side = sagas[number], (store, peer)[number % 2]
                for _ in range(10):
                    last = following(last)
                    assert side.append([last]) == ["written"]

            return loop

        at_once([grow(number) for number in range(4)])
        for one in sagas:
            assert [event.version for event in store.read(one.saga_id)] == list(range(1, 12))

    def test_the_log_keeps_bytes_as_they_are(self, store: Store) -> None:
        begun = start()
        exact = ("sagalog.StepSucceeded.1", b'{ "time" :1,\n\t"b":1.50,"a":"\\u00e4", "b":2}')
        store.append([begun, following(begun, exact)])
        assert stream_of(store, begun) == numbered(begun, following(begun, exact))
