"""The projections of a process manager: checked together, each with the database that holds it, and waited for."""

from collections.abc import Sequence

from sagalog.clock import Clock
from sagalog.engine.projections.projecting import Projecting
from sagalog.errors import DefinitionError
from sagalog.process_manager.lifecycle import Lifecycle
from sagalog.projections.declare import Projection
from sagalog.saga.durations import Duration
from sagalog.saga.options import microseconds, several
from sagalog.store import Store, StoreOptions
from sagalog.store.requests import check_number
from sagalog.stores.projected import database_for


def projecting(given: Sequence[Projection], store: Store, options: StoreOptions, clock: Clock) -> list[Projecting]:
    """Return what drives each projection; raises `DefinitionError` if one has no handler, or two are the same."""
    projections = several(given, Projection, "projections")
    seen: set[tuple[str, int]] = set()
    for one in projections:
        one.check()
        if (one.name, one.version) in seen:
            raise DefinitionError(f"two projections are {one.name} version {one.version}; give one a new version")
        seen.add((one.name, one.version))
    return [
        Projecting(one, database_for(store if one.database is None else one.database, options), store, clock)
        for one in projections
    ]


class Projected:
    """The part of `ProcessManager` that knows how far projections are."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    async def caught_up(
        self, projection: str | Projection, position: int | None = None, *, timeout: Duration = 10.0
    ) -> int:
        """Wait until readers of a projection see what is at a position of the log, and return how far they see.

        Without a position it is the end of the log as it is now: whatever the caller has written is seen. `timeout` is
        in seconds, or a timedelta. An event that is parked, or waits behind one, is passed by.

        Raises `DefinitionError` for a projection that this process manager was not given, and `WaitTimeout`.
        """
        engine = self._lifecycle.engine()
        check_number("position", position, 0)
        seconds = (microseconds(timeout, "caught_up") or 0) / 1e6
        name = projection.name if isinstance(projection, Projection) else projection
        return await engine.projections.caught_up(name, position, seconds)
