"""Invariant 38, for the read model: computing it anew from the log calls nobody, sends nothing and moves no timer."""

import pytest
from lab.lab import Lab, in_lab
from msgspec.structs import replace
from sagas.parcel import Desk, Parcel, parcel_saga, raising

from sagalog import Refused
from sagalog.readmodel.rebuild import rebuild
from sagalog.store import Store


@pytest.mark.parametrize("end", ["completed", "failed", "stuck", "pending"])
def test_a_rebuild_calls_nobody_and_appends_nothing(each_database: str | Store, end: str) -> None:
    saga, desk = parcel_saga(), Desk()
    if end == "failed":
        desk.does["send"] = raising(Refused("no van"))
    elif end == "stuck":
        desk.does["send"] = raising(TypeError("a mistake"))

    async def story(lab: Lab) -> None:
        process = await lab.begin([saga], {Desk: desk}, worker=end != "pending")
        saga_id = await process.start(saga, Parcel())
        if end != "pending":
            assert (await process.result(saga_id)).status == end
        store = process.manager.store
        row, log, calls = store.status(saga_id), store.read_log(0, 1000), desk.calls()
        assert row is not None
        store.rewrite([replace(row, status="started", due_at=1, waiting_for="nobody")], [])
        assert store.status(saga_id) != row
        rebuild(store, {saga.definition.digest: saga.definition})
        assert store.status(saga_id) == row
        assert store.read_log(0, 1000) == log
        assert desk.calls() == calls

    in_lab(each_database, story)
