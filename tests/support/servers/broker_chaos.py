"""Kills a broker again and again while something goes on over it, and starts it again; it knows no kind of broker."""

import asyncio
from collections.abc import Callable
from typing import Protocol


class Killable(Protocol):
    """A broker that can be killed and comes back with what it has kept."""

    def kill(self) -> None: ...

    def start(self) -> None: ...


async def kill_while(broker: Killable, times: int, done: Callable[[], int], total: int) -> int:
    """Kill `broker` so many times, evenly spread over the work from `done()` = 0 to `total`; return how often it was.

    Each outage is as long as the server needs to start; every third is longer, so that everybody finds nobody there.
    """
    for number in range(times):
        while done() < total * (number + 1) // (times + 2):
            await asyncio.sleep(0.002)
        broker.kill()
        if number % 3 == 2:
            await asyncio.sleep(0.3)
        # In a thread: whoever lost the connection goes on trying meanwhile.
        await asyncio.to_thread(broker.start)
    return times
