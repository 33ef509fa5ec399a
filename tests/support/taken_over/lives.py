"""Workers that are killed again and again, and how long what they did stands still after that."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from signal import SIGKILL
from typing import Self

from databases.stores import opened
from msgspec import Struct
from taken_over.beating import LEASE, Parcel, beating, manager_of

LOOK_SECONDS = 0.005
PATIENCE_SECONDS = 2 * LEASE


class Line(Struct, frozen=True):
    """One line of the journal; `at` is in seconds."""

    what: str
    who: str
    at: float


class Gap(Struct, frozen=True):
    """How long it took after a kill, in seconds.

    `opens`: until the next process had imported everything; `ready`: until its process manager was open; `began`: until
    it began what.
    """

    opens: float
    ready: float
    began: dict[str, float]

    @property
    def steps(self) -> float:
        """Return when the last of the steps was begun again."""
        return max(after for what, after in self.began.items() if what.startswith("step:"))

    @property
    def messages(self) -> float:
        """Return when the message was begun to be handled again."""
        return max(after for what, after in self.began.items() if what.startswith("message:"))


class Lives:
    """Workers on a database, one journal, and what they are busy with: some sagas, and a message."""

    def __init__(self, database: str, folder: Path, sagas: int = 3, lease: float = LEASE) -> None:
        self.database = database
        self.journal = folder / "journal"
        self.tasks = {*(f"step:{number}" for number in range(sagas)), "message:m"}
        self._lease = lease
        self._sagas = sagas
        self._number = 0
        self._processes = ExitStack()

    def __enter__(self) -> Self:
        asyncio.run(self._begin())
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.close()
        children = self.journal.with_suffix(".children")
        for child in children.read_text("utf-8").split() if children.exists() else ():
            with suppress(ProcessLookupError):
                os.kill(int(child), SIGKILL)

    async def _begin(self) -> None:
        async with manager_of(self.database, self.journal, "starts", worker=False) as manager:
            for number in range(self._sagas):
                await manager.start(beating, str(number), key=str(number))
            await manager.publish(Parcel(number="m"))

    def lines(self) -> list[Line]:
        """Return what stands in the journal."""
        text = self.journal.read_text("utf-8") if self.journal.exists() else ""
        return [Line(what, who, int(at) / 1e9) for what, who, at in map(str.split, text.splitlines())]

    def until(self, condition: Callable[[list[Line]], bool]) -> list[Line]:
        """Wait until the journal is so, and return it."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not condition(lines := self.lines()):
            assert time.monotonic() < give_up, lines
            time.sleep(LOOK_SECONDS)
        return lines

    def worker(self, name: str = "", database: str = "") -> "Worker":
        """Start a worker, which may reach the database by another address."""
        self._number += 1
        name, database = name or f"w{self._number}", database or self.database
        words = [sys.executable, "-m", "taken_over.beating", database, str(self.journal), name, str(self._lease)]
        process = subprocess.Popen(words, env=_environment(), stderr=subprocess.DEVNULL)
        self._processes.callback(_killed, process)
        return Worker(name, process)

    def ready(self, worker: "Worker") -> "Worker":
        """Wait until a worker is open."""
        self.until(lambda lines: any((line.what, line.who) == ("ready", worker.name) for line in lines))
        return worker

    def begun(self, lines: Sequence[Line], what: str) -> list[str]:
        """Return who has begun something, in order."""
        return [line.who for line in lines if line.what == what]

    def let_them_end(self) -> None:
        """Let every handler end, and wait until the sagas have."""
        self.journal.with_suffix(".over").touch()
        rests = {f"rest:{number}" for number in range(self._sagas)}
        self.until(lambda lines: rests <= {line.what for line in lines})

    def is_busy(self, worker: "Worker", lines: Sequence[Line]) -> bool:
        """Tell whether a worker has begun everything that there is to be done."""
        return self.tasks <= {line.what for line in lines if line.who == worker.name}

    def gap(self, killed_at: float, worker: "Worker") -> Gap:
        """Wait until a worker has begun everything anew, and return when that was."""
        lines = self.until(lambda lines: self.is_busy(worker, lines))
        after = {line.what: line.at - killed_at for line in reversed(lines) if line.who == worker.name}
        return Gap(after.pop("opens"), after.pop("ready"), after)


class Worker(Struct, frozen=True, eq=False):
    """A process, and its name in the journal."""

    name: str
    process: "subprocess.Popen[bytes]"

    def kill(self) -> float:
        """Kill it, and return when."""
        self.process.kill()
        at = time.time()
        self.process.wait()
        return at


def _environment() -> dict[str, str]:
    """Return the environment of a process that finds this package."""
    places = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return dict(os.environ) | {"PYTHONPATH": os.pathsep.join(filter(None, places))}


def _killed(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


@contextmanager
def busy(
    database: str, folder: Path, lease: float = LEASE, name: str = "", behind: str = ""
) -> Generator[tuple[Lives, Worker]]:
    """Give a worker that has begun everything; `behind` is how it reaches the database."""
    with Lives(database, folder, lease=lease) as lives:
        first = lives.worker(name, behind)
        lives.until(lambda lines: lives.is_busy(first, lines))
        yield lives, first


def restarted(database: str, folder: Path, kills: int) -> list[Gap]:
    """Kill the only worker so many times, and start the next one each time."""
    with busy(database, folder) as (lives, first):
        worker, gaps = first, list[Gap]()
        for _ in range(kills):
            at = worker.kill()
            worker = lives.worker()
            gaps.append(lives.gap(at, worker))
        return gaps


def restarted_by_turns(database: str, folder: Path, kills: int) -> tuple[list[Gap], list[Gap]]:
    """Kill as `restarted`, so many times with nothing of the dead to be waited for, and as many times with it.

    What it takes to begin a process is in both, however busy the machine is.
    """
    with busy(database, folder) as (lives, first), opened(database) as store:
        worker, found = first, (list[Gap](), list[Gap]())
        for number in range(2 * kills):
            at = worker.kill()
            if number % 2 == 0:
                # As if every lease had ended long ago.
                store.free(int((at + 1000 * LEASE) * 1e6))
            worker = lives.worker()
            found[number % 2].append(lives.gap(at, worker))
        return found


def beside_another(database: str, folder: Path, kills: int) -> list[Gap]:
    """Kill the worker that has everything so many times, each time while another one stands by."""
    with busy(database, folder) as (lives, first):
        worker, gaps = first, list[Gap]()
        for _ in range(kills):
            other = lives.ready(lives.worker())
            gaps.append(lives.gap(worker.kill(), other))
            worker = other
        return gaps
