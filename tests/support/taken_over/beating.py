"""Sagas and a message whose handlers never end: who makes the attempt, and when, stands in a journal.

As a program it is a worker that runs until it is killed: python -m taken_over.beating DATABASE JOURNAL NAME LEASE. One
that is called "parent" forks a child in its handlers, which outlives it.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

from sagalog import Event, Participant, Saga
from sagalog.process_manager import ProcessManager
from sagalog.settings import Settings

# Far longer than any test waits.
LEASE = 30.0
LONGEST_CHILDHOOD = 120.0


class Parcel(Event):
    """Something for the participant to be busy with."""

    number: str


class Journal:
    """A file that several processes append lines to: what, who and when, in nanoseconds of the machine's clock."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name

    def note(self, what: str) -> None:
        """Write a line, which is there even if this process is killed after it."""
        if self._name == "parent" and what.startswith("step:"):
            self._fork()
        line = f"{what} {self._name} {time.time_ns()}\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def _fork(self) -> None:
        """Leave a child that does nothing, and say which."""
        child = os.fork()
        if child == 0:
            time.sleep(LONGEST_CHILDHOOD)
            os._exit(0)
        with self._path.with_suffix(".children").open("a", encoding="utf-8") as children:
            children.write(f"{child}\n")


class Dial:
    """What the handlers are told meanwhile: they end once a file is there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def wait(self) -> None:
        """Return when the handlers are to end."""
        while not self._path.exists():
            await asyncio.sleep(0.02)


beating = Saga("beating", input=str, key=lambda name: name, timeout=None)


@beating.step(compensation=None, timeout=None)
async def beat(name: str, journal: Journal, dial: Dial) -> str:
    """Write that an attempt was begun, and do not end before one is told to."""
    journal.note(f"step:{name}")
    await dial.wait()
    return name


@beating.step(compensation=None)
async def rest(beat: str, journal: Journal) -> None:
    """Write that the first step has ended."""
    journal.note(f"rest:{beat}")


courier = Participant("courier")


@courier.on
async def carry(event: Parcel, journal: Journal, dial: Dial) -> None:
    """Write that a message was begun to be handled, and do not end before one is told to."""
    journal.note(f"message:{event.number}")
    await dial.wait()


def manager_of(database: str, journal: Path, name: str, lease: float = LEASE, worker: bool = True) -> ProcessManager:
    """Return a process manager that has the sagas and the participant."""
    services = {Journal: Journal(journal, name), Dial: Dial(journal.with_suffix(".over"))}
    settings = Settings(lease=lease)
    return ProcessManager(
        database, sagas=[beating], participants=[courier], services=services, settings=settings, worker=worker
    )


async def main(database: str, journal: str, name: str, lease: float) -> None:
    """Work until killed."""
    Journal(Path(journal), name).note("opens")
    async with manager_of(database, Path(journal), name, lease):
        Journal(Path(journal), name).note("ready")
        await asyncio.Event().wait()


if __name__ == "__main__":
    _, to, into, whose, lasting = sys.argv
    asyncio.run(main(to, into, whose, float(lasting)))
