"""Writing routes; and finding out, when that fails, whether anything else can be written.

An error of the database has a kind, but no cause: a lock, a conflict or a missing table may stop the whole store, or
the row of one message. It is the message's if the store takes another write at the same time.
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
    """Writes routes; `routed` is called with each written one and its messages, `unsure` with one that may be."""

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
        """Write a route; one that is not "written" has to be made anew, since something has changed.

        `begun` are the decisions behind the sagas that the route starts.
        """
        try:
            outcome = await self._blocking.write(self._store.route, route)
        except BaseException:
            # Also if whoever waits for it was cancelled: its thread goes on.
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
        """Tell whether the store takes an empty write."""
        try:
            return await self._blocking.write(self._store.route, Route(())) == "written"
        except Exception:
            return False

    async def is_to_blame(self, consumer: str, problem: Exception) -> bool:
        """Tell whether `problem` is of the write itself, and not of the store or the consumer."""
        row = self._consumers.owned.get(consumer)
        stays = None if row is None else Advance(consumer, self._consumers.worker_id, row.position, row.position)
        return await is_of_the_write(problem, self._store, self._blocking, stays)


async def is_of_the_write(problem: Exception, store: Store, blocking: Blocking, stays: Advance | None) -> bool:
    """Tell whether `problem` is of the write itself, and not of the store or the consumer.

    It is if the consumer's position, which `stays`, can be written alone.
    """
    if not is_passing(problem):
        return True
    try:
        return await blocking.write(store.route, Route(() if stays is None else (stays,))) == "written"
    except Exception:
        return False


def is_passing(problem: Exception) -> bool:
    """Tell whether the same write may succeed later, however long that takes."""
    return isinstance(problem, StoreError) and not isinstance(problem, WriteRefused)
