"""The applications that a process manager follows: `manager.follow`, which may be called before it is opened, too."""

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
    """The applications that one process manager follows, by name; `redact` is applied to the text of errors."""

    def __init__(self, redact: Redact | None) -> None:
        self._redact = redact
        self._by_name: dict[str, Follow] = {}

    def __iter__(self) -> Iterator[Follow]:
        """Iterate in the order in which they were added."""
        return iter(self._by_name.values())

    def add(self, source: Source, handlers: Mapping[type, Callable[..., object]], since: Since, batch: int) -> Follow:
        """Add a source to follow; raises `DefinitionError` for wrong arguments, or if its name is in use."""
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
    """The part of `ProcessManager` that follows other applications."""

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
        """Follow an `eventsourcing` application or one of its recorders, in any database.

        `handlers` maps classes of domain events to pure functions. Each takes the event and, if it wants, a
        `FollowContext`; it returns an `Event`, a list of them, or None. What it returns is published exactly once.

        `name` must never change; it defaults to the application's own. `since` is where to begin the first time: at the
        "start" of the log, or "now". `batch` is the most events in one transaction, 1 to 10,000. `mapper` decodes a
        recorder's events. A process manager with `worker=False` follows nothing.

        Raises `DefinitionError` for wrong arguments, and `NotRunning` if called on another event loop than the process
        manager's.
        """
        self._lifecycle.check_here()
        from sagalog.stores.followed.application import FollowedApplication

        follow = self._follows.add(FollowedApplication(application, handlers, name, mapper), handlers, since, batch)
        if self._lifecycle.is_open:
            self._lifecycle.engine().follow(follow)
