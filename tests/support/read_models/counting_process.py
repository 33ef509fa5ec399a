"""Counts the log by a projection until it is ended: python -m read_models.counting_process DATABASE [BUG].

The planted bug "hasty" takes the end of the log, as it is after reading, for what it has read.
"""

import asyncio
import sys

from msgspec.structs import replace
from read_models.seen import seen

from sagalog.engine.projections.reading import LogReader, Page
from sagalog.process_manager import ProcessManager

_page = LogReader.page


def hasty_page(self: LogReader, after: int, limit: int, upto: int | None = None) -> Page:
    """Return a page whose position passes events that are not in it."""
    page = _page(self, after, limit, upto)
    return replace(page, position=max(page.position, self.log.head()))


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
