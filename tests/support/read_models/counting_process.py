"""Counts the log by a projection until it is ended: python -m read_models.counting_process DATABASE [BUG].

The planted bug "hasty" takes the end of the log, as it is a moment after reading, for what it has read.
"""

import asyncio
import sys
import time

from msgspec.structs import replace
from read_models.seen import seen

from sagalog.engine.projections.reading import LogReader, Page
from sagalog.process_manager import ProcessManager

_page = LogReader.page
# For so many seconds at most, news are waited for after reading: as soon as there are some, they are passed.
MOMENT = 0.2


def hasty_page(self: LogReader, after: int, limit: int, upto: int | None = None) -> Page:
    """Return a page whose position passes events that are not in it: those that are written just after it was read."""
    page, ends = _page(self, after, limit, upto), time.monotonic() + MOMENT
    while (head := self.log.head()) <= page.position and time.monotonic() < ends:
        pass
    return replace(page, position=max(page.position, head))


async def count(database: str) -> None:
    """Keep the projection for as long as the process lives."""
    async with ProcessManager(database, projections=[seen()]):
        print("counting", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    if "hasty" in sys.argv[2:]:
        # The bug is planted into the real engine of this process, which a type checker rightly minds.
        LogReader.page = hasty_page  # type: ignore[method-assign]
    asyncio.run(count(sys.argv[1]))
