"""Loops of the engine: what ends them, and what does not."""

import asyncio
import logging

import pytest

from sagalog.engine import loops
from sagalog.engine.loops import Loop


def test_a_loop_that_fails_is_begun_anew_and_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loops, "PAUSE_AFTER_FAILURE", 0.0)
    begun: list[str] = []
    doubted: list[int] = []

    async def run() -> None:
        begun.append("again" if begun else "first")
        if len(begun) == 1:
            raise LookupError("nobody foresaw this")

    async def story() -> None:
        loop = Loop(run, "sagalog-example", lambda: doubted.append(len(begun)))
        await loop.ended()
        assert loop.task.done()

    with caplog.at_level(logging.ERROR, "sagalog.engine"):
        asyncio.run(story())
    assert begun == ["first", "again"]
    assert doubted == [1]
    assert "sagalog-example failed, and is begun anew" in caplog.text
    assert "LookupError: nobody foresaw this" in caplog.text


def test_a_loop_that_was_ended_is_not_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "PAUSE", 0.0)
    begun: list[int] = []

    async def run() -> None:
        begun.append(len(begun))
        await asyncio.Event().wait()

    async def story() -> None:
        loop = Loop(run, "sagalog-example")
        await asyncio.sleep(0)
        loop.task.cancel()
        while len(begun) < 2:
            await asyncio.sleep(0)
        await loop.stop()
        await loop.ended()
        for _ in range(10):
            await asyncio.sleep(0)

    asyncio.run(story())
    assert begun == [0, 1]
