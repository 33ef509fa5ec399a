"""What a process manager follows: `manager.follow`, at any time, also before it is opened. It reads no log."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sagalog.engine.following.follower import LARGEST_BATCH, Follow, Since
from sagalog.engine.following.translation import Translation
from sagalog.errors import DefinitionError
from sagalog.process_manager.lifecycle import Lifecycle
from sagalog.saga.failure import Redact
from sagalog.source import Source

if TYPE_CHECKING:
    from sagalog.stores.followed.application import Followable


class Follows:
    """All that one process manager follows, by name; errors of translation are redacted."""

    def __init__(self, redact: Redact | None) -> None:
        self._redact = redact
        self._by_name: dict[str, Follow] = {}

    def __iter__(self) -> Iterator[Follow]:
        """Go through them in the order in which they were added."""
        return iter(self._by_name.values())

    def add(self, source: Source, handlers: Mapping[type, Callable[..., object]], since: Since, batch: int) -> Follow:
        """Add a source that is to be followed; raises `DefinitionError`."""
        if since not in ("start", "now"):
            raise DefinitionError(f'since= is "start" or "now", found {since!r:.80}')
        if batch not in range(1, LARGEST_BATCH + 1):
            raise DefinitionError(f"batch= is a number from 1 to {LARGEST_BATCH:,}, found {batch!r:.80}")
        if source.name in self._by_name:
            raise DefinitionError(f"two sources are followed as {source.name!r}; give one of them another name=")
        follow = Follow(source, Translation(source.name, source, handlers, self._redact), since, batch)
        self._by_name[source.name] = follow
        return follow


class Following:
    """Follow other applications; this part of `ProcessManager`."""

    def __init__(self, lifecycle: Lifecycle, follows: Follows) -> None:
        self._lifecycle = lifecycle
        self._follows = follows

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
        self._lifecycle.check_here()
        from sagalog.stores.followed.application import FollowedApplication

        follow = self._follows.add(FollowedApplication(application, handlers, name, mapper), handlers, since, batch)
        if self._lifecycle.is_open:
            self._lifecycle.engine().follow(follow)
