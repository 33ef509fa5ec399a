"""The lock that lets one process at a time create or upgrade the tables of a schema; waiting for it is reported."""

from collections.abc import Sequence
from typing import Any

from sagalog.address import LONGEST
from sagalog.harmless import harmless
from sagalog.opening import Said, look_again
from sagalog.stores.postgres.connection import BoundedConnection


def lock_schema(connection: BoundedConnection, where: str) -> None:
    """Begin the transaction in which nobody else changes the tables; while it waits, report who holds the lock.

    Raises `NotRunning` if the opening is given up meanwhile.
    """
    said = Said()
    while True:
        connection.run("begin")
        if connection.rows("try_lock_schema")[0][0]:
            return
        if said.is_due():
            said.say(
                "%s: its tables are made or upgraded by %s; waiting until that has ended; look whether it goes on",
                where,
                _who(connection.rows("who_locks_schema")),
            )
        connection.run("rollback")
        look_again()


def _who(found: Sequence[tuple[Any, ...]]) -> str:
    if not found:
        return "somebody who has just ended"
    pid, application, state, client = found[0]
    known = [f"{what} {harmless(value, LONGEST)}" for what, value in (("of", application), ("from", client)) if value]
    doing = f", which is {state}" if state else ""
    return f"{' '.join([f'the session with pid {pid}', *known])}{doing}"
