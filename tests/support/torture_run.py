"""A torture run: two workers race on one database and are killed again and again while two clients start orders.

Everything that chance decides comes from one seed. What the system does with it (who is scheduled when) does not, so a
seed repeats the blows, not every outcome. It ends by itself, and ends whatever it started.
"""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM

import msgspec
from postgres_server import PostgresServer
from torture_checks import (
    acknowledged_starts_exist,
    effects_once,
    never_wrong,
    nothing_acknowledged_is_lost,
    nothing_is_done_undecided,
    one_owner_at_a_time,
    settled,
)
from torture_journals import Journals
from torture_processes import EndedByItself, Processes
from torture_snapshot import one_number, snapshot

SETTINGS: dict[str, float] = {"lease": 0.4, "poll": 0.02, "statement_timeout": 5.0, "write_timeout": 2.0}
SETTLE_SECONDS = 30.0
LOOK_EVERY_SECONDS = 0.02
KILLS_A_ROUND = 50
# What a run may say in its log only if something went wrong in the library.
NEVER_LOGGED = ("is left alone", "Traceback", "cannot be run")


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
    seconds: float = 0.0
    violations: list[str] = []

    def __str__(self) -> str:
        counted = (
            f"{self.kills} workers killed, {self.stops} stopped for a while, {self.terminations} terminated, "
            f"{self.client_kills} clients and {self.server_kills} servers killed; {self.sagas} sagas, "
            f"{self.events} events, {self.calls} calls of services, {self.takeovers} takeovers"
        )
        return f"{self.store} seed {self.seed}: {counted}; {self.seconds:.1f} s, {len(self.violations)} violations"


class Worker(msgspec.Struct):
    """One of the two places in which a worker runs, is killed and is replaced."""

    pid: int
    stopped_until: float = 0.0


class Torture:
    """One seed on one new database."""

    def __init__(self, database: str, folder: Path, seed: int, server: PostgresServer | None = None) -> None:
        self.database = database
        self.folder = folder
        self.shop = folder / "shop.db"
        self._server = server
        self._chance = Random(seed)
        self._started = 0
        self.report = Report("sqlite" if server is None else "postgres", seed)

    def run(self, kills: int, server_kills: int = 0) -> Report:
        """Kill workers so often, in rounds, and check after each; a round in which a check fails is the last."""
        begin = time.monotonic()
        rounds = max(1, round(kills / KILLS_A_ROUND))
        with Processes(self.folder / "processes.log") as processes:
            self._processes = processes
            try:
                for number in range(rounds):
                    share = [kills * (number + 1) // rounds - kills * number // rounds]
                    share += [server_kills * (number + 1) // rounds - server_kills * number // rounds]
                    self._round(*share)
                    if self.report.violations:
                        break
            except (EndedByItself, TimeoutError) as problem:
                self.report.violations.append(str(problem))
        self.report.violations += self._what_was_logged()
        self.report.seconds = time.monotonic() - begin
        return self.report

    def _round(self, kills: int, server_kills: int) -> None:
        workers = [Worker(self._worker()), Worker(self._worker())]
        clients = [self._client(0), self._client(1)]
        servers = set(self._chance.sample(range(kills), server_kills))
        done = 0
        while done < kills:
            if done in servers:
                servers.discard(done)
                self._kill_server()
            done += self._blow(self._chance.choice(workers))
            if self._chance.random() < 0.03:
                number = self._chance.randrange(2)
                self._processes.kill(clients[number])
                clients[number] = self._client(number)
                self.report.client_kills += 1
        for worker in workers:
            if worker.stopped_until:
                self._processes.signal(worker.pid, SIGCONT)
        self.report.violations += never_wrong(snapshot(self.database))
        self._end(clients)
        self._settle()
        self._end([worker.pid for worker in workers])
        self._check()

    def _blow(self, worker: Worker) -> int:
        """Do something to a worker after a random moment; returns how many were killed by it."""
        chance = self._chance.random()
        # Mostly soon, as that is when most happens; now and then late, so that some get far.
        pause = self._chance.uniform(0.1, 0.4) if chance > 0.95 else self._chance.expovariate(1 / 0.02)
        time.sleep(min(max(pause, 0.001), 0.4))
        if worker.stopped_until:
            if time.monotonic() < worker.stopped_until:
                return 0
            worker.stopped_until = 0.0
            self._processes.signal(worker.pid, SIGCONT)
        elif chance < 0.04:
            self._processes.signal(worker.pid, SIGSTOP)
            worker.stopped_until = time.monotonic() + self._chance.uniform(0.1, 2 * SETTINGS["lease"])
            self.report.stops += 1
        elif chance < 0.08:
            self._processes.signal(worker.pid, SIGTERM)
            self._ended_well(worker.pid)
            worker.pid = self._worker()
            self.report.terminations += 1
        else:
            self._processes.kill(worker.pid)
            worker.pid = self._worker()
            self.report.kills += 1
            return 1
        return 0

    def _kill_server(self) -> None:
        assert self._server is not None
        self._server.kill()
        time.sleep(self._chance.uniform(0.0, 0.3))
        self._server.start()
        self.report.server_kills += 1

    def _worker(self) -> int:
        return self._fork("work", f"worker-{self._started:05}", patient=True)

    def _client(self, number: int) -> int:
        # The second client starts every second order of the first, at about the same time.
        return self._fork("start", f"client-{number}", stride=number + 1, seed=self._chance.random())

    def _fork(self, role: str, journal: str, **order: object) -> int:
        self._started += 1
        return self._processes.fork(
            role,
            database=self.database,
            shop=str(self.shop),
            journal=str(self.folder / f"{journal}.journal"),
            settings=SETTINGS,
            **order,
        )

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

    def _settle(self) -> None:
        wait_until(lambda: one_number(self.database, "open_sagas") == 0, SETTLE_SECONDS)
        wait_until(lambda: one_number(self.database, "owned_sagas") == 0, SETTLE_SECONDS)

    def _check(self) -> None:
        found = snapshot(self.database)
        journals = Journals(self.folder)
        self.report.sagas = len(found.statuses)
        self.report.events = len(found.events)
        self.report.calls = len(journals.calls)
        self.report.takeovers = journals.takeovers(found.streams())
        self.report.violations += [
            *never_wrong(found),
            *settled(found),
            *effects_once(found, self.shop),
            *acknowledged_starts_exist(found, journals),
            *nothing_acknowledged_is_lost(found, journals),
            *one_owner_at_a_time(found, journals),
            *nothing_is_done_undecided(found, journals),
        ]

    def _what_was_logged(self) -> Iterator[str]:
        for line in (self.folder / "processes.log").read_text(encoding="utf-8").splitlines():
            if any(text in line for text in NEVER_LOGGED):
                yield f"logged: {line}"


def wait_until(holds: Callable[[], bool], seconds: float) -> float:
    """Look until something holds, at most so long; returns how long it took. What has not come true is for checks."""
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        if holds():
            break
        time.sleep(LOOK_EVERY_SECONDS)
    return time.monotonic() - begin


@contextmanager
def a_database(folder: Path, server: PostgresServer | None) -> Generator[str]:
    """Give the address of a new database: a file in the folder, or one on the server."""
    if server is None:
        yield f"sqlite:///{folder / 'sagas.db'}"
        return
    with server.database() as address:
        yield address


def torture(folder: Path, seed: int, kills: int, server: PostgresServer | None = None, server_kills: int = 0) -> Report:
    """Run one seed on a new database and return what was found."""
    with a_database(folder, server) as database:
        return Torture(database, folder, seed, server).run(kills, server_kills)
