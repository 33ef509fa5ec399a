"""The followers at work in one process: begun and ended together, each in a task of its own. They read no log here."""

import asyncio
from collections.abc import Callable, Iterable

from sagalog.engine.following.follower import Follow, Follower
from sagalog.engine.loops import Loop


class Followers:
    """Run a follower for each that is followed; `make` makes it."""

    def __init__(self, follows: Iterable[Follow], make: Callable[[Follow], Follower]) -> None:
        self._follows = follows
        self._make = make
        self._running: dict[Loop, Follower] = {}

    def start(self) -> None:
        """Begin to follow all that is followed by now."""
        for follow in self._follows:
            self.begin(follow)

    def begin(self, follow: Follow) -> None:
        """Begin to follow one."""
        follower = self._make(follow)
        self._running[Loop(follower.run, follower.consumer)] = follower

    async def stop(self, grace: float) -> None:
        """End each after its present write; do not wait for a source that does not answer within `grace` seconds."""
        await asyncio.gather(*(_stop(loop, follower, grace) for loop, follower in self._running.items()))
        self._running.clear()


async def _stop(loop: Loop, follower: Follower, grace: float) -> None:
    follower.stop()
    await asyncio.wait([loop.task], timeout=grace)
    await loop.stop()
    follower.leave()
