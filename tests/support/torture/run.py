"""A torture run: two workers race on one database and are struck again and again while two clients start sagas.

Everything that chance decides comes from one seed. What the system does with it (who is scheduled when) does not, so a
seed repeats the blows, not every outcome. It ends by itself, and ends whatever it started.
"""

import sqlite3
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from random import Random

import msgspec
import psycopg
from servers.chaos_proxy import ChaosProxy
from servers.postgres_server import PostgresServer
from torture.blows import EVERYTHING, KILLS, Blow, hook, kill_server
from torture.checks import never_wrong
from torture.ledger import Ledger
from torture.processes import EndedByItself
from torture.scene import Scene
from torture.stage import Stage, a_database

from sagalog.stores import store_for

SETTINGS: dict[str, float] = {"lease": 0.4, "poll": 0.02, "statement_timeout": 5.0, "write_timeout": 2.0}
# Fewer threads for handlers: on PostgreSQL each of them has a connection to the ledger.
VOYAGE_SETTINGS = SETTINGS | {"handler_threads": 8, "connect_timeout": 2.0}
SETTLE_SECONDS = 30.0
# A voyage has twenty steps, and what was refused is looked at again after up to a minute.
VOYAGES_SETTLE_SECONDS = 90.0
KILLS_A_ROUND = 100
# How much longer a round may take until enough sagas have been started, however slow the machine is.
LONGEST_EXTRA_SECONDS = 120.0
# Between blows to workers that have longer ways to go: to another server, through a proxy.
PAUSES_SECONDS = {"sqlite": 0.06, "postgres": 0.12}


class Report(msgspec.Struct):
    """What a run did, and what did not hold."""

    store: str
    seed: int
    blows: dict[str, int] = {}
    sagas: int = 0
    events: int = 0
    calls: int = 0
    takeovers: int = 0
    conflicts: int = 0
    mended: int = 0
    settled_after: float = 0.0
    seconds: float = 0.0
    violations: list[str] = []

    @property
    def kills(self) -> int:
        """How many workers were killed."""
        return self.blows.get("kill", 0)

    @property
    def server_kills(self) -> int:
        """How many servers were killed."""
        return self.blows.get("kill server", 0)

    def __str__(self) -> str:
        counted = ", ".join(f"{name} {number}" for name, number in sorted(self.blows.items()))
        return (
            f"{self.store} seed {self.seed}: {counted}; {self.sagas} sagas, {self.events} events, {self.calls} calls "
            f"of services, {self.takeovers} takeovers, {self.conflicts} appends refused, {self.mended} times mended, "
            f"at rest after {self.settled_after:.1f} s; {self.seconds:.1f} s, {len(self.violations)} violations"
        )


class Torture:
    """One seed on one new database."""

    def __init__(
        self,
        stage: Stage,
        seed: int,
        server: PostgresServer | None = None,
        proxy: ChaosProxy | None = None,
        blows: Sequence[Blow] = KILLS,
    ) -> None:
        self._stage = stage
        self._server = server
        self._proxy = proxy
        self._chance = Random(seed)
        self.report = Report("sqlite" if server is None else "postgres", seed)
        self._blows = [blow for blow in blows if self.report.store in blow.weights]
        self._weights = [blow.weights[self.report.store] for blow in self._blows]
        self._pause = PAUSES_SECONDS[self.report.store] if stage.voyages else 0.02

    def run(self, kills: int, server_kills: int = 0, sagas: int = 0) -> Report:
        """Kill workers so often, in rounds, and check after each; a round in which a check fails is the last.

        However slow the machine is, `sagas` are started in the meantime, at least.
        """
        begin = time.monotonic()
        rounds = max(1, round(kills / KILLS_A_ROUND))
        try:
            for number in range(rounds):
                of_kills, of_servers = (
                    every * (number + 1) // rounds - every * number // rounds for every in (kills, server_kills)
                )
                self._round(of_kills, of_servers, sagas * (number + 1) // rounds)
                if self.report.violations:
                    break
        except (EndedByItself, TimeoutError) as problem:
            self.report.violations += [str(problem), *self._stage.what_was_logged()]
        self.report.seconds = time.monotonic() - begin
        return self.report

    def _round(self, kills: int, server_kills: int, sagas: int) -> None:
        scene = Scene(self._stage, self._chance, self._server, self._proxy)
        servers = set(self._chance.sample(range(kills), server_kills))
        done = scene.counted["kill"]
        while done < kills:
            if done in servers:
                servers.discard(done)
                kill_server(scene)
                scene.counted["kill server"] += 1
            self._strike(scene)
            done = scene.counted["kill"]
        until = time.monotonic() + LONGEST_EXTRA_SECONDS
        while self._started() < sagas and time.monotonic() < until:
            self._strike(scene)
        scene.calm()
        self.report.violations += never_wrong(self._stage.snapshot())
        scene.end(scene.clients)
        self._settle(scene)
        for name, number in scene.counted.items():
            self.report.blows[name] = self.report.blows.get(name, 0) + number
        self.report.violations += scene.problems
        self._check()

    def _started(self) -> int:
        try:
            return self._stage.number("sagas")
        except (sqlite3.Error, psycopg.Error):
            return 0  # its database is away, by a blow

    def _strike(self, scene: Scene) -> None:
        """Strike once, after a random moment."""
        # Mostly soon, as that is when most happens; now and then late, so that some get far.
        late = self._chance.random() > 0.96
        pause = self._chance.uniform(0.1, 0.4) if late else self._chance.expovariate(1 / self._pause)
        self._let_time_pass(scene, min(max(pause, 0.001), 0.4))
        [blow] = self._chance.choices(self._blows, self._weights)
        if scene.is_turned(blow.name):
            return
        try:
            blow.strike(scene)
        except ConnectionError:
            return  # its database is away, by another blow
        scene.counted[blow.name] += 1
        if self._chance.random() < 0.75:
            self._let_time_pass(scene, self._chance.uniform(0.2, 1.0) * blow.lull)

    @staticmethod
    def _let_time_pass(scene: Scene, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            scene.turn_back_due()
            time.sleep(min(left, 0.02))
        scene.turn_back_due()

    def _settle(self, scene: Scene) -> None:
        """Wait until all is at rest, and end the workers."""
        seconds = VOYAGES_SETTLE_SECONDS if self._stage.voyages else SETTLE_SECONDS
        self.report.settled_after = max(self.report.settled_after, scene.settle(seconds))

    def _check(self) -> None:
        found = self._stage.snapshot()
        journals = self._stage.journals()
        self.report.sagas = len(found.statuses)
        self.report.events = len(found.events)
        self.report.calls = len(journals.calls)
        self.report.takeovers = journals.takeovers(found.streams())
        self.report.conflicts = journals.conflicts()
        self.report.mended = len(journals.mended)
        self.report.violations += self._stage.violations(found, journals)


def torture(
    folder: Path, seed: int, kills: int, server: PostgresServer | None = None, server_kills: int = 0, sagas: int = 0
) -> Report:
    """Kill workers that run orders on a new database, of one seed, and return what was found."""
    with a_database(folder, server) as database, Stage(database, folder, SETTINGS) as stage:
        return Torture(stage, seed, server).run(kills, server_kills, sagas)


def torture_everything(
    folder: Path,
    seed: int,
    kills: int,
    server: PostgresServer | None = None,
    server_kills: int = 0,
    blows: Sequence[Blow] = EVERYTHING,
    sagas: int = 0,
) -> Report:
    """Strike workers that run sagas of every kind, in every way, on a new database, and return what was found."""
    with everything_staged(folder, server) as (stage, proxy):
        return Torture(stage, seed, server, proxy, blows).run(kills, server_kills, sagas)


@contextmanager
def everything_staged(folder: Path, server: PostgresServer | None) -> Generator[tuple[Stage, ChaosProxy | None]]:
    """Give a stage for sagas of every kind on a new database that can be made to refuse, and what stands before it."""
    with ExitStack() as stack:
        database = stack.enter_context(a_database(folder, server))
        ledger = str(folder / "ledger.db") if server is None else stack.enter_context(server.database())
        proxy = None if server is None else stack.enter_context(ChaosProxy(database))
        with _made(database):
            hook(database)
        with closing(Ledger(ledger)) as books:
            books.create()
        stage = Stage(database, folder, VOYAGE_SETTINGS, ledger=ledger, behind=proxy.url if proxy else None)
        with stage:
            yield stage, proxy


def repeating(store: str, seed: int, kills: int, orders: bool, without: str = "") -> str:
    """Return the command that repeats a run."""
    more = f"{' --orders' if orders else ''}{f' --without {without}' if without else ''}"
    return f'make torture TORTURE="--store {store} --seed {seed} --kills {kills}{more}"'


@contextmanager
def _made(database: str) -> Generator[None]:
    """Make the tables of a database, for what has to be done with them before anybody works."""
    store = store_for(database)
    store.open()
    try:
        yield
    finally:
        store.close()
