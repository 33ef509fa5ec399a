"""Sells, and keeps the order book, until it is killed: python -m read_models.selling_process DATABASE WAY NAME.

WAY says whether the book is kept "inline".
It prints a line for each order whose saga has ended.
"""

import asyncio
import sys

from read_models.order_book import Order, order_book, sell

from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings

SETTINGS = Settings(lease=1.0, poll=0.02, follow_poll=0.02)
AT_ONCE = 5


async def sell_on(database: str, way: str, name: str) -> None:
    """Sell five orders at a time, each third of which is refused."""
    book = order_book(batch=20, inline=way == "inline")
    async with ProcessManager(database, sagas=[sell], projections=[book], settings=SETTINGS) as manager:
        number = 0
        while True:
            orders = [Order(f"{name}-{number + more}", 100 + more, more % 3 == 2) for more in range(AT_ONCE)]
            for run in [await manager.start(sell, order) for order in orders]:
                await run.result(timeout=30)
                print(run.key, flush=True)
            number += AT_ONCE


if __name__ == "__main__":
    asyncio.run(sell_on(*sys.argv[1:]))
