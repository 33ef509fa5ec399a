"""The queries that a process manager answers about its sagas; it only reads."""

from collections.abc import Sequence

from sagalog.codec import CODEC
from sagalog.engine.asking import asked
from sagalog.engine.blocking import Blocking
from sagalog.errors import InvalidQuery, SagaNotFound
from sagalog.harmless import harmless
from sagalog.process_manager.arguments import SagaNamed, check_named, name_of_saga
from sagalog.process_manager.lifecycle import Lifecycle
from sagalog.saga.events import SagaEvent
from sagalog.saga.evolve import fold
from sagalog.saga.state import SagaState
from sagalog.saga.transitions import Status
from sagalog.store import AttributeRow, Query, StatusRow, StepRow, Store
from sagalog.store.attributes import Condition
from sagalog.store.filters import Filter
from sagalog.store.requests import check_number


def not_found(what: str, given: str, name: str | None = None) -> SagaNotFound:
    """Return the error for a saga that does not exist; what is given may be any text, so it is made harmless to print.

    `name` is the name of a saga, if only sagas of that name were looked for.
    """
    asked = "saga" if name is None else f"saga {harmless(repr(name), 200)}"
    return SagaNotFound(f"no {asked} has the {what} {harmless(repr(given), 200)}; `sagalog list` shows those there are")


class Inspection:
    """The part of `ProcessManager` that reads statuses, steps, histories and states."""

    def __init__(self, lifecycle: Lifecycle, store: Store) -> None:
        self._lifecycle = lifecycle
        self.store = store

    @property
    def _blocking(self) -> Blocking:
        return self._lifecycle.engine().blocking

    async def status(self, id_or_key: str, saga: SagaNamed | None = None) -> StatusRow:
        """Return the `saga_status` row of the saga with this id, or else of the newest one with this key.

        If several sagas use the key, `saga` (a name or the saga itself) says which. Raises `SagaNotFound`.
        """
        query = Query(key=check_named(id_or_key), saga_name=name_of_saga(saga), limit=1)
        row = await asked(self._blocking, self.store.status, id_or_key)
        if row is None:
            found = await asked(self._blocking, self.store.find, query)
            row = found[0] if found else None
        if row is None:
            raise not_found("id or key", id_or_key, query.saga_name)
        return row

    async def find(
        self,
        *,
        saga_name: SagaNamed | None = None,
        statuses: Sequence[Status] = (),
        key: str | None = None,
        error: str | None = None,
        started_before: int | None = None,
        started_after: int | None = None,
        before: str | None = None,
        limit: int = 50,
        attributes: Sequence[Condition] = (),
        where: str | None = None,
    ) -> list[StatusRow]:
        """Return at most `limit` rows of `saga_status` that match all conditions, newest first.

        A condition that is None or empty matches any saga. `saga_name` may be the saga itself. `error` is a part of the
        error's type or text. Times are in microseconds since the epoch. For the next page, `before` is the last saga id
        of the page before. `attributes` are conditions such as `("amount", ">=", 100)`. `where` is a filter such as
        `status=stuck and age>10m`; ages are those of the call. Raises `InvalidQuery` for values that no row can have,
        such as an unknown status, and for a filter that cannot be read.
        """
        query = Query(
            saga_name=name_of_saga(saga_name),
            statuses=statuses,
            key=key,
            error=error,
            started_before=started_before,
            started_after=started_after,
            before=before,
            limit=limit,
            attributes=attributes,
            where=None if where is None else self._read(where),
        )
        return await asked(self._blocking, self.store.find, query)

    def _read(self, where: str) -> Filter:
        # Few ask with a filter, so only they load what reads one.
        from sagalog.store.where import parse

        return parse(where, self._lifecycle.engine().clock.now())

    async def steps(self, saga_id: str) -> list[StepRow]:
        """Return the `saga_steps` rows of a saga: the actions in their order, then the compensations.

        Raises `SagaNotFound` if no saga has this id; a key is not accepted.
        """
        rows = await asked(self._blocking, self.store.steps, check_named(saga_id))
        if not rows and await asked(self._blocking, self.store.status, saga_id) is None:
            raise not_found("id", saga_id)
        return rows

    async def attributes(self, saga_id: str) -> list[AttributeRow]:
        """Return the `saga_attributes` rows of a saga, by name; raises `SagaNotFound`. A key is not accepted."""
        rows = await asked(self._blocking, self.store.attributes, [check_named(saga_id)])
        if not rows and await asked(self._blocking, self.store.status, saga_id) is None:
            raise not_found("id", saga_id)
        return rows.get(saga_id, [])

    async def history(self, saga_id: str) -> list[SagaEvent]:
        """Return all events of a saga, oldest first; raises `SagaNotFound`."""
        stored = await asked(self._blocking, self.store.read, check_named(saga_id))
        if not stored:
            raise not_found("id", saga_id)
        return CODEC.decode_all((event.topic, event.state) for event in stored)

    async def state(self, saga_id: str, version: int | None = None) -> SagaState:
        """Return the saga's present state, or its state after the first `version` events.

        Raises `SagaNotFound`, and `InvalidQuery` unless `version` is between 1 and the number of its events.
        """
        check_number("version", version, 1)
        events = await self.history(saga_id)
        if version is not None and version > len(events):
            raise InvalidQuery(f"version: expected one of the saga's, 1 to {len(events)}, found {version}")
        return fold(events[:version])

    async def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of sagas by name and status: `{name: {status: number}}`."""
        found: dict[str, dict[str, int]] = {}
        for name, status, number in await asked(self._blocking, self.store.counts):
            found.setdefault(name, {})[status] = number
        return found
