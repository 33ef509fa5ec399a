"""A database, a shop and the processes that work on them: where workers are killed, and all is checked after."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Self

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
from torture_processes import Processes
from torture_snapshot import Snapshot, can_be_written, one_number, snapshot

LOOK_EVERY_SECONDS = 0.005
# What a process may say in its log only if something went wrong in the library.
NEVER_LOGGED = ("is left alone", "Traceback", "cannot be run")


class Stage:
    """Start workers and clients on one database, and check what they leave."""

    def __init__(self, database: str, folder: Path, settings: dict[str, float]) -> None:
        self.database = database
        self.folder = folder
        self.settings = settings
        self.log = folder / "processes.log"
        self.processes = Processes(self.log)

    def worker(self, name: str, *, slow: float = 0.0, **order: object) -> int:
        """Start a worker whose services take `slow` seconds to be reached, and return its pid."""
        return self._fork("work", name, slow=slow, **order)

    def client(self, name: str, *, stride: int = 1, last: int | None = None, seed: float = 0.0) -> int:
        """Start a process that starts every `stride`th order, up to number `last`, and return its pid."""
        return self._fork("start", name, stride=stride, last=last, seed=seed)

    def _fork(self, role: str, name: str, **order: object) -> int:
        return self.processes.fork(
            role,
            database=self.database,
            shop=str(self.folder / "shop.db"),
            journal=str(self.folder / f"{name}.journal"),
            settings=self.settings,
            **order,
        )

    def stop(self, pid: int) -> None:
        """Stop a worker, but not while it holds a lock on a SQLite file: that would stop all the others too."""
        for _ in range(100):
            self.processes.signal(pid, SIGSTOP)
            if all(can_be_written(path) for path in self.folder.glob("*.db")):
                return
            self.processes.signal(pid, SIGCONT)
        raise TimeoutError(f"process {pid} was found with a lock a hundred times")

    def start_orders(self, last: int) -> None:
        """Start the orders up to number `last` that have not been started yet, and return when all are."""
        code = self.processes.wait(self.client("client", last=last), 20.0)
        assert code == 0, f"the client ended with {code}: {self.log.read_text(encoding='utf-8')}"

    def number(self, block: str) -> int:
        """Return the number that a block of torture.sql asks for."""
        return one_number(self.database, block)

    def at_rest(self, seconds: float) -> float:
        """Wait until no saga is open or owned, at most so long, and return how long it took."""
        return wait_until(lambda: self.number("open_sagas") + self.number("owned_sagas") == 0, seconds)

    def snapshot_at_rest(self, seconds: float) -> Snapshot:
        """Return the first snapshot in which no saga is open or owned, or the last one taken in so many seconds.

        A worker takes even an ended saga, for a moment, to tell it an outcome that came late.
        """
        give_up = time.monotonic() + seconds
        while True:
            self.at_rest(give_up - time.monotonic())
            found = self.snapshot()
            if found.at_rest or time.monotonic() > give_up:
                return found

    def snapshot(self) -> Snapshot:
        """Read everything that the database says at one moment."""
        return snapshot(self.database)

    def journals(self) -> Journals:
        """Read what the processes have noted up to now."""
        return Journals(self.folder)

    def violations(self, found: Snapshot, journals: Journals) -> list[str]:
        """Return a sentence for everything that does not hold once all is at rest."""
        return [
            *never_wrong(found),
            *settled(found),
            *effects_once(found, self.folder / "shop.db"),
            *acknowledged_starts_exist(found, journals),
            *nothing_acknowledged_is_lost(found, journals),
            *one_owner_at_a_time(found, journals),
            *nothing_is_done_undecided(found, journals),
            *self.what_was_logged(),
        ]

    def what_was_logged(self) -> list[str]:
        """Return what stands in the log and never should."""
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        return [f"logged: {line}" for line in lines if any(text in line for text in NEVER_LOGGED)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.processes.close()


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
