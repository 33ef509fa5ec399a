"""Invariants 15 and 36: more than a database has time for is written and claimed in pieces, and what is small soon."""

import asyncio
from collections.abc import Sequence

from databases.troubled import Troubled
from lab.inside import engine_of
from lab.lab import SETTINGS, Lab, in_lab
from sagas.parcel import Desk, Parcel, parcel_saga

from sagalog.engine.writing.committer import LARGEST_BYTES
from sagalog.errors import BatchTooLarge
from sagalog.store import Append, AppendOutcome, StatusRow
from sagalog.stores.memory.store import MemoryStore


def bytes_of(appends: Sequence[Append]) -> int:
    return sum(len(state) for one in appends for _, state in one.events)


def test_what_is_too_large_to_be_written_at_once_is_written_in_pieces() -> None:
    """The database has time for so many bytes in a transaction; that there are more of them ends nothing."""
    store, saga, desk = Troubled(), parcel_saga(), Desk()

    def trouble(appends: Sequence[Append]) -> None:
        if bytes_of(appends) > 4_000:
            raise BatchTooLarge("canceling statement due to statement timeout")

    async def story(lab: Lab) -> list[str]:
        process = await lab.begin([saga], {Desk: desk})
        store.trouble = trouble
        ids = await asyncio.gather(*(process.start(saga, Parcel(str(n)), str(n)) for n in range(200)))
        return [(await process.result(one)).status for one in ids]

    assert in_lab(store, story) == ["completed"] * 200
    assert max(store.batches) > 1


def test_what_was_too_large_is_not_tried_as_large_again_and_again() -> None:
    """Each try in vain takes as long as a statement may: a link that is slow for good must not have one a batch."""
    store, saga = Troubled(), parcel_saga()
    refused: list[int] = []
    written: list[int] = []

    def trouble(appends: Sequence[Append]) -> None:
        size = bytes_of(appends)
        if size > 500_000:
            refused.append(size)
            raise BatchTooLarge("canceling statement due to statement timeout")
        written.append(size)

    async def story(lab: Lab) -> None:
        # Twenty megabytes take their time; who starts waits for it.
        process = await lab.begin([saga], {Desk: Desk()}, settings=SETTINGS.model_copy(update={"write_timeout": 60.0}))
        store.trouble = trouble
        await asyncio.gather(*(process.start(saga, Parcel("x" * 50_000 + str(n)), f"k{n}") for n in range(400)))

    in_lab(store, story)
    assert sum(written) > 20_000_000
    assert len(refused) < len(written) / 2


def test_more_than_a_database_has_time_for_is_claimed_in_pieces() -> None:
    saga, desk = parcel_saga(), Desk()
    asked: list[int] = []

    class Slow(MemoryStore):
        def claim(
            self, worker_id: str, definitions: Sequence[str], now: int, limit: int, but: Sequence[str] = ()
        ) -> list[StatusRow]:
            asked.append(limit)
            if limit > 3:
                raise BatchTooLarge("canceling statement due to statement timeout")
            return super().claim(worker_id, definitions, now, limit, but)

    async def story(lab: Lab) -> list[str]:
        client = await lab.begin([saga], worker=False)
        ids = [await client.start(saga, Parcel(str(n)), str(n)) for n in range(20)]
        process = await lab.begin([saga], {Desk: desk})
        return [(await process.result(one)).status for one in ids]

    assert in_lab(Slow(), story) == ["completed"] * 20
    # One by one, and then half as many at once as were too many.
    assert asked[1] <= 0.6 * asked[0]


def test_no_batch_has_more_bytes_than_a_slow_link_carries_in_time() -> None:
    store, desk = Troubled(), Desk()
    saga = parcel_saga()
    large = "x" * 100_000
    sizes: list[int] = []
    store.trouble = lambda appends: sizes.append(bytes_of(appends))

    async def story(lab: Lab) -> None:
        process = await lab.begin([saga], {Desk: desk})
        await asyncio.gather(*(process.start(saga, Parcel(large + str(n)), f"k{n}") for n in range(200)))

    in_lab(store, story)
    assert sum(sizes) > 20_000_000
    assert max(sizes) <= LARGEST_BYTES


def test_a_start_does_not_wait_for_all_that_is_large_and_slow() -> None:
    """It is written with the next batch, however many results of others were there before it."""
    store, desk = Troubled(), Desk()
    saga = parcel_saga(timeout=None, patience=10_000)
    large = "x" * 200_000
    written: list[list[str]] = []
    store.trouble = lambda appends: written.append([f"{one.status.saga_key} {one.expected}" for one in appends])

    async def story(lab: Lab) -> int:
        process = await lab.begin([saga], {Desk: desk})
        gate = asyncio.Event()
        desk.does["pick"] = lambda _: gate.wait()
        keys = [f"k{n}" for n in range(100)]
        await asyncio.gather(*(process.start(saga, Parcel(large + key), key) for key in keys))
        await lab.until(lambda: desk.calls().count("pick") == 100)
        written.clear()
        gate.set()
        for one in keys:
            # Large all of them, and there before the start.
            append = Append(one, 1, [("sagalog.StepSkipped.1", b"x" * 200_000)], None, [], "nobody")  # type: ignore[arg-type]
            engine_of(process.manager).committer.submit(append)
        await process.start(saga, Parcel("small"), "small")
        return next(number for number, batch in enumerate(written) if "small 0" in batch)

    class Forgiving(Troubled):
        def _append(self, one: Append) -> AppendOutcome:
            return "conflict" if one.status is None else super()._append(one)  # type: ignore[redundant-expr]

        def append(self, appends: Sequence[Append]) -> list[AppendOutcome]:
            self.trouble([one for one in appends if one.status is not None])  # type: ignore[redundant-expr]
            return MemoryStore.append(self, appends)

    forgiving = Forgiving()
    forgiving.trouble = store.trouble
    assert in_lab(forgiving, story) <= 1
