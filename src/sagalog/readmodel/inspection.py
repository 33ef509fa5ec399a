"""What can be asked of a process manager about its sagas; it only reads."""

from typing import Any

from sagalog.codec import CODEC
from sagalog.engine.blocking import Blocking
from sagalog.errors import SagaNotFound
from sagalog.saga.events import SagaEvent
from sagalog.saga.evolve import fold
from sagalog.saga.state import SagaState
from sagalog.store import Query, StatusRow, StepRow, Store


class Inspection:
    """Read statuses, steps, histories and states; the reading half of `ProcessManager`."""

    store: Store

    @property
    def _blocking(self) -> Blocking:
        raise NotImplementedError

    async def status(self, id_or_key: str, saga: str | None = None) -> StatusRow:
        """Return the row of the saga with this id, or else of the newest one with this key.

        Raises `SagaNotFound`.
        """
        row = await self._blocking.read(self.store.status, id_or_key)
        if row is None:
            found = await self._blocking.read(self.store.find, Query(key=id_or_key, saga_name=saga, limit=1))
            row = found[0] if found else None
        if row is None:
            raise SagaNotFound(f"no saga has the id or key {id_or_key!r}; `sagalog list` shows those there are")
        return row

    async def find(self, **wanted: Any) -> list[StatusRow]:
        """Return rows that match the fields of `sagalog.store.Query`, newest first."""
        return await self._blocking.read(self.store.find, Query(**wanted))

    async def steps(self, saga_id: str) -> list[StepRow]:
        """Return the rows of a saga's steps: the actions in their order, then the compensations."""
        return await self._blocking.read(self.store.steps, saga_id)

    async def history(self, saga_id: str) -> list[SagaEvent]:
        """Return everything that happened to a saga; raises `SagaNotFound`."""
        stored = await self._blocking.read(self.store.read, saga_id)
        if not stored:
            raise SagaNotFound(f"no saga has the id {saga_id!r}; `sagalog list` shows those there are")
        return CODEC.decode_all((event.topic, event.state) for event in stored)

    async def state(self, saga_id: str, version: int | None = None) -> SagaState:
        """Return the saga's state, now or after its first `version` events."""
        return fold((await self.history(saga_id))[:version])

    async def counts(self) -> dict[str, dict[str, int]]:
        """Return how many sagas there are: by name, by status."""
        found: dict[str, dict[str, int]] = {}
        for name, status, number in await self._blocking.read(self.store.counts):
            found.setdefault(name, {})[status] = number
        return found
