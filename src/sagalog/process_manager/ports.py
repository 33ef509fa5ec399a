"""Checks of the ports that a process manager is given: each needs the methods of its protocol, but no base class.

Nothing is opened here.
"""

from collections.abc import Sequence
from typing import Any, cast

from sagalog.clock import Clock, SystemClock
from sagalog.engine.blocking import Blocking
from sagalog.engine.transports.transports import check_transports
from sagalog.errors import DefinitionError
from sagalog.saga.options import listed, shown
from sagalog.store import Store, StoreOptions
from sagalog.stores import store_for
from sagalog.transport import Transport

STORE = ("open", "close", "append", "read", "claim")
TRANSPORT = ("name", "carries", "open", "send", "close")
CLOCK = ("now", "chance", "token")
BLOCKING = ("read", "write", "handler", "close")


def store_of(database: str | Store, options: StoreOptions) -> Store:
    """Return the given store, or the store for an address; raises `InvalidSettings` for anything else."""
    if not _lacking(database, STORE):
        return cast(Store, database)
    return store_for(cast(str, database), options)


def transports_of(given: object) -> list[Transport]:
    """Return the transports as a list; raises `DefinitionError` if one lacks a method, or has an unusable name."""
    transports = listed(given)
    if transports is None:
        raise DefinitionError(f"expected a list for transports=, found {shown(given)}; write transports=[...]")
    for one in transports:
        if missing := _lacking(one, TRANSPORT):
            raise DefinitionError(
                f"expected {', '.join(TRANSPORT)} of each of transports=, found {shown(one)} without {missing}"
            )
    check_transports(transports)
    return transports


def clock_of(given: Clock | None) -> Clock:
    """Return the given clock, or the system clock; raises `DefinitionError` if it lacks a method."""
    clock: Clock | None = _port(given, CLOCK, "clock")
    return clock or SystemClock()


def blocking_of(given: Blocking | None) -> Blocking | None:
    """Return the given port for blocking calls, or None; raises `DefinitionError` if it lacks a method."""
    blocking: Blocking | None = _port(given, BLOCKING, "blocking")
    return blocking


def _port(given: Any, methods: Sequence[str], option: str) -> Any:
    """Return `given` if it has these methods or is None; otherwise raise `DefinitionError` with those it lacks."""
    missing = _lacking(given, methods)
    if given is None or not missing:
        return given
    raise DefinitionError(f"expected {', '.join(methods)} of {option}=, found {shown(given)} without {missing}")


def _lacking(given: object, methods: Sequence[str]) -> str:
    """Return the names of the missing methods, joined by commas; all of them for a class instead of an instance."""
    return ", ".join(name for name in methods if isinstance(given, type) or not hasattr(given, name))
