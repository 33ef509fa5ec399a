"""A call that waits for a thread is begun by one or taken back, and never both."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial

from sagalog.engine.blocking import Threads
from sagalog.engine.calls.turns import Turn, Turns


def test_a_turn_is_begun_or_taken_back_by_whoever_comes_first() -> None:
    begun, back = (Turn("it", 0.0, None, lambda: 1.0) for _ in range(2))
    assert begun.begin()
    assert not begun.take_back()
    assert back.take_back()
    assert not back.begin()
    assert (begun.is_taken_back, back.is_taken_back) == (False, True)
    assert (begun.began_at, back.began_at) == (1.0, None)


def test_what_is_taken_back_is_not_called_when_a_thread_comes_to_it() -> None:
    go_on, called = threading.Event(), list[str]()

    def call(work: Callable[[], object], turn: Turn) -> Callable[[], object]:
        return lambda: work() if turn.begin() else None

    async def test() -> None:
        threads = Threads(1, 1)
        turns = Turns(threads)
        try:
            first = turns.ask(partial(call, partial(go_on.wait, 20)), "first", None)
            second = turns.ask(partial(call, partial(called.append, "second")), "second", None)
            assert first is not None
            assert second is not None
            while first[0].began_at is None:
                await asyncio.sleep(0.001)
            turns.stop()
            assert second[0].is_taken_back
            assert not first[0].is_taken_back
            assert turns.ask(partial(call, partial(called.append, "third")), "third", None) is None
            go_on.set()
            assert await first[1]
            await threads.handler(lambda: None)
        finally:
            go_on.set()
            turns.close()
            threads.close()

    asyncio.run(test())
    assert called == []
