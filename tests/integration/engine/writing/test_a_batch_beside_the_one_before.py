"""While a large batch is being written, the outcomes of the one before are told."""

import asyncio
import logging
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from databases.held import held
from databases.stores import store_of
from kernel.raising import Order
from sagas.greeting import run

from sagalog import Saga
from sagalog.engine.blocking import WriterThread
from sagalog.engine.writing.committer import LARGEST_BATCH
from sagalog.process_manager import ProcessManager
from sagalog.store import Store

NUMBER = LARGEST_BATCH + 100


class Slow(logging.Handler):
    """Whoever logs the first transition waits for something."""

    def __init__(self, awaited: threading.Event) -> None:
        super().__init__()
        self.came: bool | None = None
        self._awaited = awaited

    def emit(self, record: logging.LogRecord) -> None:
        if self.came is None:
            self.came = self._awaited.wait(10)


@contextmanager
def logging_to(handler: logging.Handler) -> Generator[None]:
    logger = logging.getLogger("sagalog.transitions")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


def test_the_next_batch_is_begun_before_anybody_is_told_of_a_large_one(each_database: str | Store) -> None:
    saga = Saga("many", input=Order, key=lambda order: order.id)

    @saga.step(compensation=None)
    async def work(order: Order) -> None:
        pass

    begun: list[int] = []
    second = threading.Event()

    def note(kind: str, writes: Sequence[Any], written: bool) -> None:
        if kind == "append" and not written:
            begun.append(len(writes))
            if len(begun) == 2:
                second.set()

    slow = Slow(second)

    async def story() -> set[str]:
        store, one = held(store_of(each_database))
        async with ProcessManager(store, sagas=[saga]) as manager:
            one.hook = note
            orders = [Order(str(number)) for number in range(NUMBER)]
            return {one.status for one in await asyncio.gather(*(manager.execute(saga, order) for order in orders))}

    with logging_to(slow):
        assert run(story()) == {"completed"}
    assert begun[0] == LARGEST_BATCH
    assert slow.came


def test_whoever_lets_a_write_begin_does_not_wait_for_those_before_it() -> None:
    async def story() -> list[int]:
        thread, go = WriterThread("test"), threading.Event()
        try:
            first = thread.submit(lambda: go.wait(10))
            second = thread.submit(lambda: 2)
            for _ in range(3):
                thread.let_begin()
            assert not first.done()
            go.set()
            return [int(await first), await second]
        finally:
            thread.close()

    assert asyncio.run(story()) == [1, 2]
