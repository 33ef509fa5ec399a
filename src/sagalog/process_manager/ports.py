"""The ports given to a process manager, each checked by its methods, not by its class. Nothing is opened."""

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
    """Return a store that was given itself, or the one of an address; raises what `store_for` raises."""
    if not _lacking(database, STORE):
        return cast(Store, database)
    return store_for(cast(str, database), options)


def transports_of(given: object) -> list[Transport]:
    """Return the transports in a list; raise `DefinitionError` for what is none, and for invalid names."""
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
    """Return the clock that was given, or the system's; raises `DefinitionError`."""
    clock: Clock | None = _port(given, CLOCK, "clock")
    return clock or SystemClock()


def blocking_of(given: Blocking | None) -> Blocking | None:
    """Return what was given to keep blocking calls off the event loop, or None; raises `DefinitionError`."""
    blocking: Blocking | None = _port(given, BLOCKING, "blocking")
    return blocking


def _port(given: Any, methods: Sequence[str], option: str) -> Any:
    """Return what has these methods, or None; raises `DefinitionError` that names those it lacks."""
    missing = _lacking(given, methods)
    if given is None or not missing:
        return given
    raise DefinitionError(f"expected {', '.join(methods)} of {option}=, found {shown(given)} without {missing}")


def _lacking(given: object, methods: Sequence[str]) -> str:
    """Return those of the given names that an object does not have."""
    return ", ".join(name for name in methods if isinstance(given, type) or not hasattr(given, name))
