"""Who is struck in a torture run, and what has been turned and has to be turned back; it decides nothing by itself."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM
from typing import NamedTuple

import msgspec
from servers.chaos_proxy import ChaosProxy
from servers.postgres_server import PostgresServer
from torture.dials import CLOCKS
from torture.stage import Stage, wait_until

Undo = Callable[[], None]
# Whoever is stopped may hold the lock that a new worker waits for, so this is less than any of its patience.
READY_SECONDS = 0.5
# How long something may take to be turned back: it may need what a worker holds, or a server that has just started.
TURN_BACK_SECONDS = 15.0
LOOK_AGAIN_SECONDS = 0.05
# So often workers are ended: one may tell what nobody waited for as it ends.
MOST_ENDS = 5


class Worker(msgspec.Struct):
    """One of the two places in which a worker runs, is killed and is replaced."""

    pid: int
    journal: Path
    clock: int
    stopped: bool = False
    spared_until: float = 0.0


class Turned(NamedTuple):
    """What a blow has turned, and when it is to be turned back."""

    due: float
    name: str
    undo: Undo
    give_up: float


class Scene:
    """Two workers, two clients, and what stands between them and their database."""

    def __init__(
        self, stage: Stage, chance: Random, server: PostgresServer | None, proxy: ChaosProxy | None = None
    ) -> None:
        self.stage = stage
        self.chance = chance
        self.server = server
        self.proxy = proxy
        self.counted: Counter[str] = Counter()
        self.problems: list[str] = []
        self._started = 0
        self._turned: list[Turned] = []
        self.workers = [self._worker(clock) for clock in CLOCKS]
        self.clients = [self._client(number) for number in range(2)]

    def pick(self) -> Worker:
        """Return one of the workers, mostly once it has begun to work with its database."""
        worker = self.chance.choice(self.workers)
        if not worker.stopped and self.chance.random() < 0.75:
            # The others are killed while they open the database, or wherever they are.
            wait_until(lambda: worker.journal.exists() and worker.journal.stat().st_size > 0, READY_SECONDS)
        return worker

    def replace(self, worker: Worker) -> None:
        """Start another worker in the place of one that is gone."""
        self.workers[self.workers.index(worker)] = self._worker(worker.clock)

    def kill(self, worker: Worker) -> None:
        """End a worker with SIGKILL and start another."""
        self.stage.processes.kill(worker.pid)
        self.replace(worker)

    def kill_client(self) -> None:
        """End a client with SIGKILL and start another, which goes on where that one was."""
        number = self.chance.randrange(2)
        self.stage.processes.kill(self.clients[number])
        self.clients[number] = self._client(number)

    def stop(self, worker: Worker) -> None:
        """Stop a worker wherever it is."""
        self.stage.processes.signal(worker.pid, SIGSTOP)
        worker.stopped = True

    def wake(self, worker: Worker) -> None:
        """Let a stopped worker go on, and spare it for a moment: it should find out what it has missed."""
        if worker.stopped:
            self.stage.processes.signal(worker.pid, SIGCONT)
            worker.stopped = False
            worker.spared_until = time.monotonic() + self.chance.uniform(0.02, 0.2)

    def terminate(self, worker: Worker) -> None:
        """Ask a worker to end, as an operator would, and start another."""
        self.calm()  # what it needs to end well may be what was taken from it
        self.end([worker.pid])
        self.replace(worker)

    def turn_back(self, name: str, seconds: float, undo: Undo) -> None:
        """Have something turned back after so long."""
        due = time.monotonic() + seconds
        self._turned.append(Turned(due, name, undo, due + TURN_BACK_SECONDS))

    def is_turned(self, name: str) -> bool:
        """Tell whether something of that name waits to be turned back."""
        return any(one.name == name for one in self._turned)

    def turn_back_due(self) -> None:
        """Turn back whatever is due."""
        now = time.monotonic()
        for one in [one for one in self._turned if one.due <= now]:
            self._turn_back(one)

    def calm(self) -> None:
        """Turn everything back: workers first, since they may hold what the rest needs."""
        for worker in self.workers:
            self.wake(worker)
        while self._turned:
            for one in list(self._turned):
                self._turn_back(one)
            time.sleep(LOOK_AGAIN_SECONDS if self._turned else 0.0)

    def _turn_back(self, one: Turned) -> None:
        """Turn something back, or leave it for a moment: it may need what another blow has taken."""
        self._turned.remove(one)
        try:
            one.undo()
        except ConnectionError as problem:
            if time.monotonic() > one.give_up:
                raise TimeoutError(f"{one.name} could not be turned back: {problem}") from None
            self._turned.append(one._replace(due=time.monotonic() + LOOK_AGAIN_SECONDS))

    def settle(self, seconds: float) -> float:
        """Wait until all is at rest, with somebody who sets going again what was refused, and end the workers.

        Returns how long it took at most. A worker may still hold an outcome that nobody waits for, and tell it as it
        ends; what comes of that is for other workers.
        """
        longest = 0.0
        for _ in range(MOST_ENDS):
            mender = [self.stage.mender()] if self.stage.voyages else []
            longest = max(longest, self.stage.at_rest(seconds))
            self.end([*mender, *(worker.pid for worker in self.workers)])
            if self.stage.is_at_rest():
                break
            self.workers = [self._worker(worker.clock) for worker in self.workers]
        return longest

    def end(self, pids: list[int]) -> None:
        """Ask processes to end, and note those that do not, or that end badly."""
        for pid in pids:
            self.stage.processes.signal(pid, SIGTERM)
        for pid in pids:
            code = self.stage.processes.wait(pid, 15.0)
            if code is None:
                self.stage.processes.signal(pid, SIGKILL)
                self.problems.append(f"process {pid} still ran 15 s after SIGTERM")
            elif code not in (0, -SIGTERM):  # it may not have got to the point where it listens
                self.problems.append(f"process {pid} ended with exit code {code} after SIGTERM")

    def _worker(self, clock: int) -> Worker:
        self._started += 1
        # Behind a slow service a worker is found in the middle of a step; behind a quick one, between two.
        slow = self.chance.choice([0.0, 0.0, 0.02, 0.1])
        name = f"worker-{self._started:05}"
        pid = self.stage.worker(name, slow=slow, patient=True, clock=clock)
        return Worker(pid, self.stage.folder / f"{name}.journal", clock)

    def _client(self, number: int) -> int:
        # The second client starts every second order of the first, at about the same time.
        return self.stage.client(f"client-{number}", stride=number + 1, seed=self.chance.random())
