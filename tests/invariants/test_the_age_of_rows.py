"""Invariant 47: the row of a saga says of which event, and of which time, it is."""

from collections.abc import Sequence

from lab.lab import Lab, in_lab
from sagas.parcel import Desk, Parcel, parcel_saga, raising

from sagalog import Refused
from sagalog.codec import CODEC
from sagalog.store import Append, AppendOutcome
from sagalog.stores.memory.store import MemoryStore


class Looking(MemoryStore):
    """Note after each append what the row says, and what the last event says."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int]] = []

    def append(self, appends: Sequence[Append]) -> list[AppendOutcome]:
        outcomes = super().append(appends)
        for one in appends:
            row, last = self.status(one.saga_id), self.read(one.saga_id)[-1]
            assert row is not None
            assert row.position == last.position
            self.seen.append((row.updated_at, CODEC.decode(last.topic, last.state).time))
        return outcomes


def test_after_each_decision_a_row_has_the_time_of_its_last_event() -> None:
    saga, desk, store = parcel_saga(), Desk(), Looking()
    desk.does["pay"] = raising(ConnectionError("no answer"), 1)
    desk.does["send"] = raising(Refused("no van"))

    async def story(lab: Lab) -> None:
        process = await lab.begin([saga], {Desk: desk})
        saga_id = await process.start(saga, Parcel())
        assert (await process.result(saga_id)).status == "failed"

    in_lab(store, story)
    assert len(store.seen) > 5
    assert all(updated == happened for updated, happened in store.seen)
    assert len({updated for updated, _ in store.seen}) > 2
