"""`manager.find(where=...)` takes the text that the command line takes; its ages are those of the clock given."""

import pytest
from sagas.greeting import Greeting, greet, run

from sagalog.errors import InvalidQuery, NotRunning
from sagalog.process_manager import ProcessManager
from sagalog.testing.clock import FakeClock


def test_a_process_manager_finds_by_the_same_text_and_by_its_own_clock() -> None:
    async def scenario() -> None:
        saga = greet()
        clock = FakeClock()
        manager = ProcessManager("memory://", sagas=[saga], clock=clock)
        with pytest.raises(NotRunning):
            await manager.find(where="run=1")
        async with manager:
            await manager.start(saga, Greeting(name="Ada"), key="ada")
            assert await manager.find(where="age>10m") == []
            clock.advance(601)
            assert [row.saga_key for row in await manager.find(where="age>10m and key~AD")] == ["ada"]
            assert await manager.find(where="age>10m", key="bob") == []
            with pytest.raises(InvalidQuery, match="where, at character 1: there is no field 'agee'; did you mean age"):
                await manager.find(where="agee>10m")

    run(scenario())
