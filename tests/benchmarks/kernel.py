"""What the kernel and the rows cost by themselves: `make bench-kernel`. No engine runs, and no store.

Each figure is the processor's time in microseconds for one event or one saga, its share of the log included. To compare
with another version of the library, run it once more with that version's `src` in front of `PYTHONPATH`.
"""

import argparse
import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from kernel.long_sagas import LedSaga, for_each, in_a_row, that_waits
from msgspec import Struct
from rich.console import Console
from rich.table import Table

ROUNDS = 5


class Cost(Struct, frozen=True):
    """The microseconds of an event, when there are so many steps, elements or messages."""

    what: str
    number: int
    microseconds: float


def of_plain_sagas(sagas: int) -> Iterator[Cost]:
    """Yield what a whole saga of three steps costs: one that completes, and one that undoes two."""
    for what, undone in (("a saga of three steps", False), ("one of them that undoes two", True)):
        yield Cost(what, 3, min(_timed(partial(_lead, sagas, undone)) for _ in range(ROUNDS)) / sagas)


def _lead(sagas: int, undone: bool) -> None:
    for _ in range(sagas):
        LedSaga(in_a_row(2), undone=undone).lead(9)


def of_long_sagas(steps: Sequence[int], elements: Sequence[int], messages: Sequence[int]) -> Iterator[Cost]:
    """Yield what an event costs on the way there and on the way back, and a message that moves nothing."""
    for number in steps:
        yield from _there_and_back("steps in a row", number, LedSaga(in_a_row(number), undone=True))
    for number in elements:
        yield from _there_and_back("for_each, one by one", number, LedSaga(for_each(number), undone=True))
    for number in elements:
        yield from _there_and_back("for_each, ten at once", number, LedSaga(for_each(number, at_once=10), undone=True))
    for number in messages:
        led = LedSaga(that_waits())
        yield Cost("messages to one saga", number, _timed(partial(_tell, led, number)) / number)


def _there_and_back(what: str, number: int, led: LedSaga) -> Iterator[Cost]:
    yield Cost(f"{what}, done", number, _timed(partial(led.lead, number)) / number)
    yield Cost(f"{what}, undone", number, _timed(partial(led.lead, number + 1)) / (number + 1))


def _tell(led: LedSaga, number: int) -> None:
    for _ in range(number):
        led.tell(led.another_message())


def _timed(work: Callable[[], object]) -> float:
    gc.collect()
    gc.disable()
    began = time.thread_time()
    work()
    seconds = time.thread_time() - began
    gc.enable()
    return seconds * 1e6


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; `--quick` measures little."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure little: to see that it runs")
    quick: bool = parser.parse_args(arguments).quick
    table = Table("microseconds", "n", "an event, or a saga", title="the kernel and the rows", box=None)
    sizes = (10,) if quick else (10, 100, 1_000)
    more = (10, 100) if quick else (100, 1_000, 10_000)
    for cost in (*of_plain_sagas(10 if quick else 2_000), *of_long_sagas(sizes, (*sizes, more[-1]), more)):
        table.add_row(cost.what, f"{cost.number:,}", f"{cost.microseconds:.1f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
