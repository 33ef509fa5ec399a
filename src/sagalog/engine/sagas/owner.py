"""What a saga's runner needs of the worker that owns the saga: its name, its patience, and whether its lease holds."""

from typing import Any, Protocol

from msgspec import Struct

from sagalog.engine.sagas.inbox import Inbox
from sagalog.engine.sagas.news import Driver, News
from sagalog.saga.inputs import Input


class Left(Struct, frozen=True):
    """Why a runner has left its saga.

    `unfinished`: it is to be given back. `is_lost`: somebody else has changed it. `problem`: it cannot be driven here.
    `unrecorded` are the inputs that are not recorded.
    """

    unfinished: bool = False
    is_lost: bool = False
    problem: BaseException | None = None
    unrecorded: tuple[Input, ...] = ()


class Owner(Protocol):
    """What a runner needs of the worker that owns its saga."""

    stopping: bool
    inbox: Inbox
    news: News

    @property
    def worker_id(self) -> str:
        """Return the name under which the worker owns sagas now."""
        ...

    def patience(self, expects_mail: bool) -> int:
        """Return for how many microseconds a saga that only waits may stay with this worker."""
        ...

    def holds_as(self, worker_id: str) -> bool:
        """Tell whether `worker_id` is still the worker and its lease holds; callable from any thread.

        No attempt is begun on a saga that others may take.
        """
        ...

    def wake_when_leased(self, driver: Driver) -> None:
        """Put a saga on the list of news once the lease holds again, or is known to be lost."""
        ...

    def left(self, runner: Any, why: Left) -> None:
        """Take note that a runner has left its saga."""
        ...
