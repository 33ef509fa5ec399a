"""What a saga's runner needs of the worker that owns the saga: its name, its patience, and whether its lease holds."""

from typing import Protocol

from sagalog.engine.sagas.inbox import Inbox


class Owner(Protocol):
    """What a runner needs of the worker that owns its saga."""

    stopping: bool
    inbox: Inbox

    @property
    def worker_id(self) -> str:
        """Return the name under which the worker owns sagas now."""
        ...

    def patience(self, expects_mail: bool) -> int:
        """Return for how many microseconds a saga that only waits may stay with this worker."""
        ...

    async def ready(self, worker_id: str) -> bool:
        """Wait until the lease holds, so that no attempt is begun on a saga that others may take.

        Returns False if none may be begun, because the worker stops, or lost its lease and is no longer `worker_id`.
        """
        ...

    def holds_as(self, worker_id: str) -> bool:
        """Tell whether `worker_id` is still the worker and its lease holds; callable from any thread."""
        ...
