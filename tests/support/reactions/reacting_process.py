"""Sells, and reacts to what it sells, until it is killed: python -m reactions.reacting_process DATABASE LEDGER NAME.

NAME "last" waits until every saga has ended, sells two orders more, and has a participant that nobody had before. A
planted bug may follow. "hasty": the position is written before what it was moved for, and the process is killed in
between; "jumbled": each event is in a lane of its own; "nostalgic": whoever is new begins at the start of the log.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from reactions.ledger import Ledger
from reactions.listeners import listeners
from read_models.order_book import Order, sell

from sagalog.engine.bus import participant_routes
from sagalog.engine.bus.consumers import Consumers
from sagalog.messages import Envelope
from sagalog.process_manager import ProcessManager
from sagalog.saga.transitions import OPEN
from sagalog.settings import Settings
from sagalog.store import InboxRow, Route, RouteOutcome
from sagalog.stores import store_for

SETTINGS = Settings(lease=1.0, poll=0.02)
AT_ONCE = 3
POLL = 0.02


def planted(database: str, bug: str) -> Any:
    """Return the store of a process; a bug is planted into the real engine, past all that a type checker minds."""
    store: Any = store_for(database)
    routes: Any = participant_routes
    consumers: Any = Consumers
    route, row = store.route, routes.inbox_row

    def hasty(what: Route) -> RouteOutcome:
        if not what.notes:
            outcome: RouteOutcome = route(what)
            return outcome
        route(Route(what.advances))
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("it was killed")

    def jumbled(recipient: str, _: str, position: int, envelope: Envelope, now: int) -> InboxRow:
        mail: InboxRow = row(recipient, envelope.id, position, envelope, now)
        return mail

    def from_the_start(_: Consumers, _name: str) -> bool:
        return False

    match bug:
        case "hasty":
            store.route = hasty
        case "jumbled":
            routes.inbox_row = jumbled
        case "nostalgic":
            consumers._from_now = from_the_start
        case _:
            pass
    return store


async def sell_on(manager: ProcessManager, name: str) -> None:
    """Sell three orders of one customer at a time, whose sagas are in one lane; every third is refused."""
    number = 0
    while True:
        orders = [Order(f"{name}-{number + more}", 100 + more, more % 3 == 2) for more in range(AT_ONCE)]
        for run in [await manager.start(sell, order, correlation_id=f"{name}-{number}") for order in orders]:
            await run.result(timeout=30)
        number += AT_ONCE


async def sell_last(manager: ProcessManager) -> None:
    """Go on with what others have left, and then sell two orders more: whoever hears of them has read the whole log."""
    while await manager.find(statuses=sorted(OPEN)):
        await asyncio.sleep(POLL)
    for order in (Order("last-1"), Order("last-2", refused=True)):
        await manager.execute(sell, order)
    await asyncio.Event().wait()


async def react(database: str, ledger: str, name: str, bug: str = "") -> None:
    is_last = name == "last"
    participants = listeners(Ledger(Path(ledger), name), with_newcomer=is_last)
    manager = ProcessManager(planted(database, bug), sagas=[sell], participants=participants, settings=SETTINGS)
    async with manager:
        await (sell_last(manager) if is_last else sell_on(manager, name))


if __name__ == "__main__":
    asyncio.run(react(*sys.argv[1:]))
