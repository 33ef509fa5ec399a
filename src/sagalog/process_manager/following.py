"""What a process manager follows: `manager.follow`, and the followers that run while it does. It reads no log."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sagalog.engine.following.follower import LARGEST_BATCH, Follow, Follower, Holder, Since
from sagalog.engine.following.translation import Translation
from sagalog.engine.loops import Loop
from sagalog.engine.recovery import Recovery
from sagalog.engine.surroundings import Surroundings
from sagalog.errors import DefinitionError
from sagalog.saga.failure import Redact
from sagalog.source import Source

if TYPE_CHECKING:
    from sagalog.stores.followed.application import Followable


class Following:
    """Follow other applications; this part of `ProcessManager`."""

    _followers: "Followers"

    def _check_here(self) -> None:
        raise NotImplementedError

    def follow(
        self,
        application: "Followable",
        handlers: Mapping[type[Any], Callable[..., object]],
        *,
        name: str | None = None,
        since: Since = "start",
        batch: int = 500,
        mapper: Any = None,
    ) -> None:
        """Follow an `eventsourcing` application (or one of its recorders), in this or any other database.

        Each handler maps one class of domain events to an `Event`, several, or None, and may ask for a `FollowContext`
        as its second argument; it must be a pure function. What it returns is published exactly once. `name` is what
        the application is known by here (its own name by default), and must stay the same; `since` says where to begin
        when it is followed for the first time, `batch` how many events one transaction takes at most, and `mapper` how
        a recorder's events are decoded. A process manager with `worker=False` follows nothing.

        Raises `DefinitionError` for what cannot be followed, and `NotRunning` if the process manager runs on another
        event loop than the one that calls.
        """
        self._check_here()
        from sagalog.stores.followed.application import FollowedApplication

        self._followers.add(FollowedApplication(application, handlers, name, mapper), handlers, since, batch)


class Followers:
    """All that one process manager follows."""

    def __init__(self, redact: Redact | None) -> None:
        self._follows: dict[str, Follow] = {}
        self._make: Callable[[Follow], Follower] | None = None
        self._redact = redact
        self._running: dict[Loop, Follower] = {}

    def add(self, source: Source, handlers: Mapping[type, Callable[..., object]], since: Since, batch: int) -> None:
        """Follow a source from now on, or from when this is started; raises `DefinitionError`."""
        if since not in ("start", "now"):
            raise DefinitionError(f'since= is "start" or "now", found {since!r:.80}')
        if batch not in range(1, LARGEST_BATCH + 1):
            raise DefinitionError(f"batch= is a number from 1 to {LARGEST_BATCH:,}, found {batch!r:.80}")
        if source.name in self._follows:
            raise DefinitionError(f"two sources are followed as {source.name!r}; give one of them another name=")
        translation = Translation(source.name, source, handlers, self._redact)
        follow = Follow(source, translation, since, batch)
        self._follows[source.name] = follow
        self._start(follow)

    def start(
        self,
        surroundings: Surroundings,
        holder: Holder,
        recovery: Recovery,
        published: Callable[[], None],
    ) -> None:
        """Begin to follow; `published` is told when there are new messages in the store."""
        self._make = lambda follow: Follower(follow, surroundings, holder, recovery, published)
        for follow in self._follows.values():
            self._start(follow)

    def _start(self, follow: Follow) -> None:
        if self._make is not None:
            follower = self._make(follow)
            self._running[Loop(follower.run, follower.consumer)] = follower

    async def stop(self, grace: float) -> None:
        """End each after what it writes; one whose source does not answer within `grace` seconds is left alone."""
        self._make = None
        await asyncio.gather(*(_stop(loop, follower, grace) for loop, follower in self._running.items()))
        self._running.clear()


async def _stop(loop: Loop, follower: Follower, grace: float) -> None:
    follower.stop()
    await asyncio.wait([loop.task], timeout=grace)
    await loop.stop()
    follower.leave()
