"""A database, a shop and the processes that work on them: where workers are killed, and all is checked after."""

import re
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Self

from servers.postgres_server import PostgresServer
from torture.checks import (
    acknowledged_starts_exist,
    effects_once,
    never_wrong,
    nothing_acknowledged_is_lost,
    nothing_is_done_undecided,
    one_owner_at_a_time,
    settled,
)
from torture.dials import Dials
from torture.journals import Journals
from torture.ledger import Effect, Ledger
from torture.processes import Processes
from torture.snapshot import Snapshot, can_be_written, one_number, snapshot
from torture.voyage_checks import (
    PLANTED,
    acknowledged_messages_exist,
    as_ended,
    children_as_their_parents,
    done_once,
    in_order,
    known_ends,
    nothing_forward_once_undoing,
    nothing_is_left,
    stuck_for_a_reason,
)

LOOK_EVERY_SECONDS = 0.005
# What a process may say in its log only if something went wrong in the library.
NEVER_LOGGED = ("is left alone", "Traceback", "cannot be run", "never retrieved")
RECORD = re.compile(r"^(?=\d+ \d{4}-\d\d-\d\d )", re.MULTILINE)


class Stage:
    """Workers and clients on one database, and what is checked of what they leave."""

    def __init__(
        self,
        database: str,
        folder: Path,
        settings: dict[str, float],
        *,
        ledger: str | None = None,
        behind: str | None = None,
    ) -> None:
        self.database = database
        # How workers and clients reach the database, if something stands between.
        self._behind = behind or database
        # With a ledger for their services, voyages are run beside the orders.
        self.voyages = ledger is not None
        self._ledger = ledger or ""
        self.dials = Dials(folder / "dials")
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

    def mender(self) -> int:
        """Start the person who sets going again what was refused, and return its pid."""
        return self._fork("mend", "mender")

    def what_sagalog_finds(self) -> list[str]:
        """Return what `sagalog check` has to complain of."""
        pid = self._fork("check", "check")
        code = self.processes.wait(pid, 60.0)
        said = self.log.read_text(encoding="utf-8").splitlines()[-20:]
        return [] if code == 0 else [f"`sagalog check` ended with exit code {code}", *said]

    def _fork(self, role: str, name: str, **order: object) -> int:
        return self.processes.fork(
            role,
            database=self._behind if role in ("work", "start") else self.database,
            dials=str(self.folder / "dials"),
            voyages=self.voyages,
            ledger=self._ledger,
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

    def is_at_rest(self) -> bool:
        """Tell whether no saga is open or owned."""
        if self.voyages:
            return self.number("restless") == 0
        return self.number("open_sagas") + self.number("owned_sagas") == 0

    def at_rest(self, seconds: float) -> float:
        """Wait until no saga is open or owned, at most so long, and return how long it took."""
        return wait_until(self.is_at_rest, seconds)

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
        if not self.voyages:
            return self.what_is_wrong(found, journals, [])
        return [*self.what_is_wrong(found, journals, self.ledger()), *self.what_sagalog_finds()]

    def what_is_wrong(self, found: Snapshot, journals: Journals, ledger: list[Effect]) -> list[str]:
        """Return a sentence for everything that does not hold of what was read."""
        return [
            *never_wrong(found),
            *settled(found),
            *known_ends(found),
            *effects_once(found, self.folder / "shop.db"),
            *acknowledged_starts_exist(found, journals),
            *nothing_acknowledged_is_lost(found, journals),
            *one_owner_at_a_time(found, journals),
            *nothing_is_done_undecided(found, journals),
            *self.what_was_logged(),
            *done_once(ledger),
            *(as_ended(found, ledger) if self.voyages else ()),
            *in_order(found, ledger),
            *children_as_their_parents(found),
            *nothing_forward_once_undoing(found, journals.skew),
            *nothing_is_left(found),
            *acknowledged_messages_exist(found, journals),
            *stuck_for_a_reason(journals),
        ]

    def ledger(self) -> list[Effect]:
        """Return all that the services of voyages have done."""
        with closing(Ledger(self._ledger)) as ledger:
            return ledger.read()

    def what_was_logged(self) -> list[str]:
        """Return what stands in the log and never should."""
        text = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
        records = [record for record in RECORD.split(text) if not any(said in record for said in PLANTED)]
        return [f"logged: {record}" for record in records if any(said in record for said in NEVER_LOGGED)]

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
