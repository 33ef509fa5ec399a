"""The sagas that are driven in this process, each by a runner. It drives none itself.

It also knows the sagas whose start is being written for this process, which must not be given back as strays, and those
that have just ended here.
"""

import asyncio

from sagalog.engine.hint import is_set_within
from sagalog.engine.sagas.runner import SagaRunner
from sagalog.messages import Envelope


class Driven:
    """Runners by saga id, up to a maximum."""

    def __init__(self, most: int) -> None:
        self.most = most
        # Held while a write changes which sagas this process owns, until its result is noted here.
        self.turn = asyncio.Lock()
        self.runners: dict[str, SagaRunner] = {}
        # Sagas whose start is being written; they have no runner yet.
        self.expected: set[str] = set()
        # Sagas whose runners ended since the last claim began; what that claim returns of them may be outdated.
        self.just_ended: set[str] = set()
        self._emptied: asyncio.Event | None = None

    def __contains__(self, saga_id: str) -> bool:
        return saga_id in self.runners

    @property
    def room(self) -> int:
        """Return how many more sagas may be driven."""
        return self.most - len(self.runners) - len(self.expected)

    def add(self, runner: SagaRunner) -> None:
        """Add the runner of a saga."""
        self.runners[runner.saga_id] = runner

    def remove(self, runner: SagaRunner) -> None:
        """Remove a runner, unless another one drives the saga by now."""
        if self.runners.get(runner.saga_id) is runner:
            del self.runners[runner.saga_id]
            self.just_ended.add(runner.saga_id)
            if self._emptied is not None and not self.runners:
                self._emptied.set()

    async def empty_within(self, seconds: float) -> None:
        """Wait until no saga is driven here, for so many seconds at most."""
        if self.runners:
            self._emptied = asyncio.Event()
            await is_set_within(self._emptied, seconds)

    def wake(self, saga_id: str) -> None:
        """Let a saga check again what is to be done, if it is driven here."""
        if saga_id in self.runners:
            self.runners[saga_id].wake()

    def wake_all(self) -> None:
        """Let every saga check again what is to be done, and when."""
        for runner in self.runners.values():
            runner.wake()

    def give(self, saga_id: str, envelope: Envelope) -> bool:
        """Give a message from the inbox to its saga if it is driven here; return False if the saga has it already."""
        runner = self.runners.get(saga_id)
        return runner is not None and runner.deliver(envelope)
