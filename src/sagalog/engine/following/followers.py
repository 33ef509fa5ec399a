"""The followers of one process, started and stopped together, each in a task of its own."""

import asyncio
from collections.abc import Callable, Iterable

from sagalog.engine.following.follower import Follow, Follower
from sagalog.engine.loops import Loop


class Followers:
    """Runs a follower for each application that is followed; `make` creates it."""

    def __init__(self, follows: Iterable[Follow], make: Callable[[Follow], Follower]) -> None:
        self._follows = follows
        self._make = make
        self._running: dict[Loop, Follower] = {}

    def start(self) -> None:
        """Start a follower for each application that was added so far."""
        for follow in self._follows:
            self.begin(follow)

    def begin(self, follow: Follow) -> None:
        """Start a follower for one application."""
        follower = self._make(follow)
        self._running[Loop(follower.run, follower.consumer)] = follower

    async def stop(self, grace: float) -> None:
        """Stop each follower after the write under way; after `grace` seconds its task is cancelled."""
        await asyncio.gather(*(_stop(loop, follower, grace) for loop, follower in self._running.items()))
        self._running.clear()


async def _stop(loop: Loop, follower: Follower, grace: float) -> None:
    follower.stop()
    await asyncio.wait([loop.task], timeout=grace)
    await loop.stop()
    follower.leave()
