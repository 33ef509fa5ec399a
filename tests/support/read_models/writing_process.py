"""Writes to the log, and projects nothing: python -m read_models.writing_process DATABASE NAME EVENTS AT_ONCE [BUG].

It sells AT_ONCE orders at a time until its share of events is written, and prints how many it has written. The planted
bug "unlocked": positions of the log are taken without its lock.
"""

import asyncio
import sys

from read_models.order_book import Order, sell
from read_models.seen import Praised

from sagalog.errors import StoreError
from sagalog.process_manager import ProcessManager, SagaRun
from sagalog.settings import Settings
from sagalog.stores.postgres.connection import SQL

# How many events the saga of an order has: that of one in three is rolled back.
COMPLETED, FAILED = 4, 6


async def write(database: str, name: str, events: int, at_once: int) -> int:
    """Write at least so many events, and return how many those of its sagas were."""
    written = number = 0
    async with ProcessManager(database, sagas=[sell], settings=Settings()) as manager:
        while written < events:
            orders = [Order(f"{name}-{number + more}", 100 + more, more % 3 == 2) for more in range(at_once)]
            await asyncio.gather(*(_sell(manager, order) for order in orders))
            written += sum(FAILED if order.refused else COMPLETED for order in orders)
            number += at_once
    return written


async def _sell(manager: ProcessManager, order: Order) -> None:
    run: SagaRun | None = None
    while run is None:
        try:
            if order.refused:
                await manager.publish(Praised(order_id=order.order_id))
            run = await manager.start(sell, order)
        except StoreError as problem:
            # Whoever asks again with the same key has one saga; of a message there may be two then.
            print(f"{order.order_id} is started again: {problem}", file=sys.stderr)
    await run.result()


if __name__ == "__main__":
    if "unlocked" in sys.argv[5:]:
        SQL["lock_log"] = b"SELECT 1"
    print(asyncio.run(write(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
