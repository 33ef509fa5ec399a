"""A torture run: two workers race on one database and are killed again and again while two clients start orders.

Everything that chance decides comes from one seed. What the system does with it (who is scheduled when) does not, so a
seed repeats the blows, not every outcome. It ends by itself, and ends whatever it started.
"""

import time
from pathlib import Path
from random import Random
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM

import msgspec
from postgres_server import PostgresServer
from torture_checks import never_wrong
from torture_processes import EndedByItself
from torture_stage import Stage, a_database, wait_until

SETTINGS: dict[str, float] = {"lease": 0.4, "poll": 0.02, "statement_timeout": 5.0, "write_timeout": 2.0}
SETTLE_SECONDS = 30.0
KILLS_A_ROUND = 100
# A worker that is stopped should be in the middle of something.
LONG_ENOUGH_SECONDS = 0.05
# Whoever is stopped may hold the lock that a new worker waits for, so this is less than any of its patience.
READY_SECONDS = 0.5


class Report(msgspec.Struct):
    """What a run did, and what did not hold."""

    store: str
    seed: int
    kills: int = 0
    stops: int = 0
    terminations: int = 0
    client_kills: int = 0
    server_kills: int = 0
    sagas: int = 0
    events: int = 0
    calls: int = 0
    takeovers: int = 0
    conflicts: int = 0
    seconds: float = 0.0
    violations: list[str] = []

    def __str__(self) -> str:
        counted = (
            f"{self.kills} workers killed, {self.stops} stopped for a while, {self.terminations} terminated, "
            f"{self.client_kills} clients and {self.server_kills} servers killed; {self.sagas} sagas, "
            f"{self.events} events, {self.calls} calls of services, {self.takeovers} takeovers, "
            f"{self.conflicts} appends refused"
        )
        return f"{self.store} seed {self.seed}: {counted}; {self.seconds:.1f} s, {len(self.violations)} violations"


class Worker(msgspec.Struct):
    """One of the two places in which a worker runs, is killed and is replaced."""

    pid: int
    journal: Path
    stopped: bool = False
    spared_until: float = 0.0


class Torture:
    """One seed on one new database."""

    def __init__(self, stage: Stage, seed: int, server: PostgresServer | None = None) -> None:
        self._stage = stage
        self._processes = stage.processes
        self._server = server
        self._chance = Random(seed)
        self._workers = 0
        self.report = Report("sqlite" if server is None else "postgres", seed)

    def run(self, kills: int, server_kills: int = 0) -> Report:
        """Kill workers so often, in rounds, and check after each; a round in which a check fails is the last."""
        begin = time.monotonic()
        rounds = max(1, round(kills / KILLS_A_ROUND))
        try:
            for number in range(rounds):
                share = [every * (number + 1) // rounds - every * number // rounds for every in (kills, server_kills)]
                self._round(*share)
                if self.report.violations:
                    break
        except (EndedByItself, TimeoutError) as problem:
            self.report.violations += [str(problem), *self._stage.what_was_logged()]
        self.report.seconds = time.monotonic() - begin
        return self.report

    def _round(self, kills: int, server_kills: int) -> None:
        workers = [self._worker() for _ in range(2)]
        clients = [self._client(0), self._client(1)]
        servers = set(self._chance.sample(range(kills), server_kills))
        done = 0
        while done < kills:
            if done in servers:
                servers.discard(done)
                self._kill_server()
            done += self._blow(workers)
            if self._chance.random() < 0.03:
                number = self._chance.randrange(2)
                self._processes.kill(clients[number])
                clients[number] = self._client(number)
                self.report.client_kills += 1
        for worker in workers:
            if worker.stopped:
                self._processes.signal(worker.pid, SIGCONT)
        self.report.violations += never_wrong(self._stage.snapshot())
        self._end(clients)
        self._stage.at_rest(SETTLE_SECONDS)
        self._end([worker.pid for worker in workers])
        self._check()

    def _blow(self, workers: list[Worker]) -> int:
        """Do something to one of the workers after a random moment; returns how many were killed by it."""
        for worker in workers:
            if worker.stopped and time.monotonic() > worker.spared_until:
                self._wake(worker)
        chance = self._chance.random()
        worker = self._chance.choice(workers)
        if not worker.stopped and self._chance.random() < 0.75:
            # The others are killed while they open the database, or wherever they are.
            wait_until(lambda: worker.journal.exists() and worker.journal.stat().st_size > 0, READY_SECONDS)
        # Mostly soon, as that is when most happens; now and then late, so that some get far.
        pause = self._chance.uniform(0.1, 0.4) if chance > 0.96 else self._chance.expovariate(1 / 0.02)
        time.sleep(min(max(pause, 0.001), 0.4))
        if time.monotonic() < worker.spared_until:
            return 0
        if worker.stopped:
            self._wake(worker)
        elif chance < 0.05:
            time.sleep(LONG_ENOUGH_SECONDS)
            self._processes.signal(worker.pid, SIGSTOP)
            worker.stopped = True
            worker.spared_until = time.monotonic() + self._chance.uniform(0.5, 1.5) * SETTINGS["lease"]
            self.report.stops += 1
        elif chance < 0.08:
            for other in workers:
                if other.stopped:  # perhaps with a lock that this one needs to end
                    self._wake(other)
            self._processes.signal(worker.pid, SIGTERM)
            self._ended_well(worker.pid)
            workers[workers.index(worker)] = self._worker()
            self.report.terminations += 1
        else:
            self._processes.kill(worker.pid)
            workers[workers.index(worker)] = self._worker()
            self.report.kills += 1
            return 1
        return 0

    def _wake(self, worker: Worker) -> None:
        self._processes.signal(worker.pid, SIGCONT)
        worker.stopped = False
        worker.spared_until = time.monotonic() + self._chance.uniform(0.02, 0.2)

    def _kill_server(self) -> None:
        assert self._server is not None
        self._server.kill()
        time.sleep(self._chance.uniform(0.0, 0.3))
        self._server.start()
        self.report.server_kills += 1

    def _worker(self) -> Worker:
        self._workers += 1
        # Behind a slow service a worker is found in the middle of a step; behind a quick one, between two.
        slow = self._chance.choice([0.0, 0.0, 0.02, 0.1])
        name = f"worker-{self._workers:05}"
        return Worker(self._stage.worker(name, slow=slow, patient=True), self._stage.folder / f"{name}.journal")

    def _client(self, number: int) -> int:
        # The second client starts every second order of the first, at about the same time.
        return self._stage.client(f"client-{number}", stride=number + 1, seed=self._chance.random())

    def _end(self, pids: list[int]) -> None:
        for pid in pids:
            self._processes.signal(pid, SIGTERM)
        for pid in pids:
            self._ended_well(pid)

    def _ended_well(self, pid: int) -> None:
        code = self._processes.wait(pid, 15.0)
        if code is None:
            self._processes.signal(pid, SIGKILL)
            self.report.violations.append(f"process {pid} still ran 15 s after SIGTERM")
        elif code not in (0, -SIGTERM):  # it may not have got to the point where it listens
            self.report.violations.append(f"process {pid} ended with exit code {code} after SIGTERM")

    def _check(self) -> None:
        found = self._stage.snapshot()
        journals = self._stage.journals()
        self.report.sagas = len(found.statuses)
        self.report.events = len(found.events)
        self.report.calls = len(journals.calls)
        self.report.takeovers = journals.takeovers(found.streams())
        self.report.conflicts = journals.conflicts()
        self.report.violations += self._stage.violations(found, journals)


def torture(folder: Path, seed: int, kills: int, server: PostgresServer | None = None, server_kills: int = 0) -> Report:
    """Run one seed on a new database and return what was found."""
    with a_database(folder, server) as database, Stage(database, folder, SETTINGS) as stage:
        return Torture(stage, seed, server).run(kills, server_kills)
