"""Writes routes; when that fails, finds out whether the store fails as a whole or only this write.

A database error names its kind, not its cause. A lock or a missing table may affect the whole store or one row only.
If the store accepts another write at the same time, the failed write is to blame.
"""

from collections.abc import Callable, Mapping, Sequence

from sagalog.engine.blocking import Blocking
from sagalog.engine.bus.consumers import Consumers
from sagalog.engine.bus.route_batch import Found
from sagalog.engine.cycle import Decision
from sagalog.engine.message_log import log_routed
from sagalog.engine.surroundings import Surroundings
from sagalog.engine.transition_log import log_transitions
from sagalog.errors import StoreError, WriteRefused
from sagalog.messages import Envelope
from sagalog.store import Advance, Route, RouteOutcome, Store


class RouteWriting:
    """Writes routes, and reports the outcome.

    `routed` is called with each route that was written and its messages by id. `unsure` is called with a route of
    which nobody knows whether it was written.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        consumers: Consumers,
        routed: Callable[[Route, Mapping[str, Envelope]], None],
        unsure: Callable[[Route], None],
    ) -> None:
        self._store = surroundings.store
        self._blocking = surroundings.blocking
        self._consumers = consumers
        self._routed = routed
        self._unsure = unsure

    async def write(self, route: Route, found: Found, begun: Sequence[Decision] = ()) -> RouteOutcome:
        """Write a route; unless the outcome is "written", it has to be computed again, because something has changed.

        `begun` are the decisions that start the route's new sagas.
        """
        try:
            outcome = await self._blocking.write(self._store.route, route)
        except BaseException:
            # Even after a cancellation: the thread that writes goes on.
            self._unsure(route)
            raise
        if outcome == "written":
            log_routed(route)
            for decision in begun:
                log_transitions(decision)
            self._routed(route, {envelope.id: envelope for _, envelope in found})
        elif outcome == "conflict":
            self._consumers.doubt()
        return outcome

    async def passes(self) -> bool:
        """Tell whether the store accepts an empty write."""
        try:
            return await self._blocking.write(self._store.route, Route(())) == "written"
        except Exception:
            return False

    async def is_to_blame(self, consumer: str, problem: Exception) -> bool:
        """Tell whether the failed write for a consumer caused `problem`; see `is_of_the_write`."""
        row = self._consumers.owned.get(consumer)
        stays = None if row is None else Advance(consumer, self._consumers.worker_id, row.position, row.position)
        return await is_of_the_write(problem, self._store, self._blocking, stays)


async def is_of_the_write(problem: Exception, store: Store, blocking: Blocking, stays: Advance | None) -> bool:
    """Tell whether the content of the failed write caused `problem`, rather than the store or the consumer.

    To find out, it writes the consumer's unchanged position (`stays`) alone; if that works, the content is to blame.
    """
    if not is_passing(problem):
        return True
    try:
        return await blocking.write(store.route, Route(() if stays is None else (stays,))) == "written"
    except Exception:
        return False


def is_passing(problem: Exception) -> bool:
    """Tell whether the same write may succeed later."""
    return isinstance(problem, StoreError) and not isinstance(problem, WriteRefused)
