"""A process that follows the bookshop until it is killed: python -m followed.following_process APPLICATION DATABASE."""

import asyncio
import sys
import time

from followed.bookshop import HANDLERS, Bookshop, Order, OrderPlaced, bookshop, placed

from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings

SETTINGS = Settings(lease=0.5, poll=0.02, follow_poll=0.02)
BATCH = 7


def slowly(happened: Order.Placed) -> OrderPlaced:
    """Take long enough for the process to be killed in the middle."""
    time.sleep(0.0005)
    return placed(happened)


async def follow(shop: Bookshop, database: str) -> None:
    manager = ProcessManager(database, settings=SETTINGS)
    manager.follow(shop, {**HANDLERS, Order.Placed: slowly}, batch=BATCH)
    await manager.run()


if __name__ == "__main__":
    with bookshop(sys.argv[1]) as shop:
        asyncio.run(follow(shop, sys.argv[2]))
