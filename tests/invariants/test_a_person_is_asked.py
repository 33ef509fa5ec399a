"""Invariant 26: whoever reads the log of a process is told, as an error, that a saga needs a person."""

import logging

import pytest
from sagas.greeting import run
from sagas.parcel import Desk, Parcel, parcel_saga, raising

from sagalog import Refused
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings
from sagalog.stores.memory.store import MemoryStore


def test_a_compensation_that_fails_for_good_is_told_as_an_error_with_its_saga(caplog: pytest.LogCaptureFixture) -> None:
    saga, desk = parcel_saga(), Desk()
    desk.does["send"] = raising(Refused("no van"))
    desk.does["refund"] = raising(Refused("the account is closed"))

    async def story() -> str:
        settings = Settings(poll=0.01, longest_wait=0)
        async with ProcessManager(MemoryStore(), sagas=[saga], services={Desk: desk}, settings=settings) as manager:
            begun = await manager.start(saga, Parcel(), key="p-1")
            assert (await begun.result(10)).status == "stuck"
            return begun.id

    with caplog.at_level(logging.WARNING, logger="sagalog.transitions"):
        saga_id = run(story())
    told = [record.__dict__ for record in caplog.records if record.name == "sagalog.transitions"]
    errors = [(one["transition"], one["saga_id"], one["saga_key"]) for one in told if one["levelname"] == "ERROR"]
    assert errors == [("CompensationFailed", saga_id, "p-1"), ("SagaStuck", saga_id, "p-1")]
