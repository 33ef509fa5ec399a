"""Orders that end with a letter: the app of an incident. What is broken, and what was done, is in files of a folder.

Every effect is written under its idempotency key, so that one that is made twice under two keys can be seen. The folder
is named by the environment variable LETTERS.
"""

import os
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from msgspec import Struct

from sagalog import Refused, Retry, Saga, StepContext

# Whoever waits for the carrier waits for an hour.
HOURLY = Retry(attempts=5, delay=timedelta(hours=1), max_delay=timedelta(hours=2))


class Order(Struct, frozen=True):
    order_id: str


class Town:
    """The services of a town: each does something once for a key, unless it is broken."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def does(self, what: str, ctx: StepContext) -> str:
        """Do it: an outage is an error, and a mistake in the program is a refusal of its own making."""
        if (self.folder / f"{what} is down").exists():
            raise OSError(f"the {what} does not answer")
        if (self.folder / f"{what} is wrong").exists():
            raise Refused(f"the {what} cannot read this")
        with (self.folder / "done").open("a") as done:
            done.write(f"{what} {ctx.key} {ctx.idempotency_key}\n")
        return f"{what} for {ctx.key}"


def doubled(folder: Path) -> dict[tuple[str, str], int]:
    """Return what was done more than once for an order, each key counted once."""
    lines = {tuple(line.split()) for line in (folder / "done").read_text().splitlines()}
    times = Counter((what, key) for what, key, _ in lines)
    return {one: number for one, number in times.items() if number > 1}


def done(folder: Path) -> Counter[str]:
    """Return how many orders have had each effect."""
    return Counter(what for what, _ in {tuple(line.split()[:2]) for line in (folder / "done").read_text().splitlines()})


letters: Saga[Order] = Saga("letters", input=Order, key=lambda order: order.order_id, timeout=None)


@letters.step(pivot=True)
async def pay(order: Order, town: Town, ctx: StepContext) -> str:
    return town.does("bank", ctx)


@letters.step(retry=HOURLY)
async def ship(order: Order, town: Town, ctx: StepContext) -> str:
    return town.does("carrier", ctx)


@letters.step
async def write(order: Order, town: Town, ctx: StepContext) -> str:
    return town.does("letter-shop", ctx)


sagas = [letters]


@contextmanager
def services() -> Generator[dict[type, object]]:
    """Give the town to whoever runs the app."""
    yield {Town: Town(Path(os.environ["LETTERS"]))}
